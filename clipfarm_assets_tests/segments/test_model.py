"""A segment's id and impact."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clipfarm_assets.segments.model import Failure, Segment, impact

SEGMENT = Segment("t", "v", "u", 1.5, 20.25, datetime(2025, 1, 1, tzinfo=UTC), "Something happens.")


def test_the_id_depends_on_team_video_and_span_only() -> None:
    again = replace(SEGMENT, user_id="other", description="Told otherwise.", failure=Failure.BLOCKING)
    assert again.segment_id == SEGMENT.segment_id == "b7ec564c-85a6-5047-91b0-4e1a477f0d20"
    others = [
        replace(SEGMENT, team="t2"),
        replace(SEGMENT, video_id="v2"),
        replace(SEGMENT, start_sec=1.501),
        replace(SEGMENT, end_sec=20.251),
        replace(SEGMENT, team="tv", video_id=""),
    ]
    assert len({SEGMENT.segment_id, *(other.segment_id for other in others)}) == 6


def test_the_impact_is_that_of_the_contract() -> None:
    assert impact("none", False, False) == 0
    assert impact("non_blocking", False, False) == impact("blocking", False, False) == 0.4
    assert impact("none", True, False) == 0.3
    assert impact("none", False, True) == 0.2
    assert replace(SEGMENT, failure=Failure.BLOCKING, confusion=True, abandonment=True).impact == 0.9


@pytest.mark.parametrize("wrong", [{"end_sec": 1.5}, {"start_sec": -1}, {"recorded_at": datetime(2025, 1, 1)}])
def test_a_span_that_is_none_and_a_time_without_zone_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"segment of v|time zone"):
        replace(SEGMENT, **wrong)  # type: ignore[arg-type]
