"""A CSV that cannot be read at all."""

import pytest

from clipfarm_assets.errors import ClipfarmError
from clipfarm_assets_tests.graph.deployment import Deployment


def test_a_first_csv_without_the_required_columns_is_named_as_the_reason(deployment: Deployment) -> None:
    deployment.write_csv = lambda: deployment.csv.write_text("id,link\n1,2\n")  # type: ignore[method-assign]
    with pytest.raises(ClipfarmError, match="header lacks video_id and url"):
        deployment.run()


def test_a_later_csv_without_the_required_columns_leaves_what_was_read_before(deployment: Deployment) -> None:
    deployment.add("a", said=None)
    deployment.read_metadata()
    deployment.write_csv = lambda: deployment.csv.write_text("id,link\n1,2\n")  # type: ignore[method-assign]
    state = deployment.run()
    assert [video.video_id for video in state.videos] == ["a"]
    assert any("header lacks video_id and url" in error for error in deployment.reports[-1].errors)
