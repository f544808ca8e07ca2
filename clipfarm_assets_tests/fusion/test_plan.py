"""What becomes of a video, by what became of its modalities."""

import pytest

from clipfarm_assets.fusion.plan import FusedStatus, Outcome, settle
from clipfarm_assets.statuses import Status

THERE = Outcome(Status.SUCCESS, None, None, True)


def gone(status: Status, upstream: Status | None = None, reason: str | None = None) -> Outcome:
    return Outcome(status, upstream, reason, False)


@pytest.mark.parametrize("status", list(Status))
def test_without_a_video_vector_there_is_no_fused_one(status: Status) -> None:
    fused, reason = settle(gone(status, reason="why"), THERE, THERE)
    assert fused is FusedStatus.MISSING_REQUIRED_MODALITY
    assert reason == f"video is {status.value}: why"


@pytest.mark.parametrize("status", [status for status in Status if status.meaning.terminal])
def test_a_terminal_absence_of_sound_or_text_is_fused_with_zeros_and_its_reason(status: Status) -> None:
    assert settle(THERE, gone(status), THERE) == (FusedStatus.SUCCESS, f"audio is {status.value}")
    assert settle(THERE, THERE, gone(status, reason="why")) == (FusedStatus.SUCCESS, f"text is {status.value}: why")


@pytest.mark.parametrize("status", [status for status in Status if not status.meaning.terminal])
def test_what_may_still_come_is_waited_for(status: Status) -> None:
    assert settle(THERE, gone(status), THERE) == (FusedStatus.PENDING, f"audio is {status.value}")
    fused, reason = settle(THERE, gone(Status.NO_AUDIO_TRACK), gone(status))
    assert (fused, reason) == (FusedStatus.PENDING, f"text is {status.value}")


def test_a_modality_whose_stage_before_failed_for_good_is_not_waited_for() -> None:
    broken = gone(Status.UPSTREAM_FAILED, Status.UNSUPPORTED_MEDIA)
    said = "audio is upstream_failed: the stage before is unsupported_media"
    assert settle(THERE, broken, THERE) == (FusedStatus.SUCCESS, said)
    assert settle(THERE, gone(Status.UPSTREAM_FAILED, Status.FAIL), THERE)[0] is FusedStatus.PENDING


def test_a_whole_video_needs_no_reason() -> None:
    assert settle(THERE, THERE, THERE) == (FusedStatus.SUCCESS, None)
