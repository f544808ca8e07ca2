"""The short form of every scenario; ``make torture`` runs the long one."""

import pytest

from clipfarm_assets_tests.torture.__main__ import main


@pytest.mark.slow
def test_nothing_is_lost_or_done_twice_whatever_is_killed_or_refuses() -> None:
    assert main(["--moments", "2", "--videos", "4", "--jobs", "2", "--seed", "20260101"]) == 0
