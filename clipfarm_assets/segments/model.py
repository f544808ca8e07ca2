"""A segment: a described time span of one video, and how much it matters."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from uuid import UUID, uuid5

_NAMESPACE = UUID("6f1c1d9e-6a55-5a57-9a6b-0d9c1a3c2b11")  # of segment ids; another one would make every segment new

FAILURE_IMPACT = 0.4
CONFUSION_IMPACT = 0.3
ABANDONMENT_IMPACT = 0.2


class Failure(StrEnum):
    """Whether what the user wanted failed, and whether that was the end of it."""

    NONE = "none"
    NON_BLOCKING = "non_blocking"
    BLOCKING = "blocking"


@dataclass(frozen=True)
class Segment:
    """A described time span of one video.

    Attributes:
        user_id: whose session it is, or which creator made the video.
        start_sec, end_sec: the span within the video.
        recorded_at: when it happened, with a time zone.
        description: what happens in it; what is embedded.
        described_by: the model or source of the description, ``transcript`` where there is none.
    """

    team: str
    video_id: str
    user_id: str
    start_sec: float
    end_sec: float
    recorded_at: datetime
    description: str
    failure: Failure = Failure.NONE
    confusion: bool = False
    abandonment: bool = False
    described_by: str = "transcript"

    def __post_init__(self) -> None:
        if self.recorded_at.tzinfo is None:
            raise ValueError(f"recorded_at of a segment of {self.video_id} has no time zone.")
        if not 0 <= self.start_sec < self.end_sec:
            raise ValueError(f"A segment of {self.video_id} runs from {self.start_sec} to {self.end_sec} s.")

    @cached_property
    def segment_id(self) -> str:
        """The same for the same span of the same video, to the millisecond, whatever the description."""
        return segment_id(self.team, self.video_id, self.start_sec, self.end_sec)

    @property
    def impact(self) -> float:
        """0 to 0.9: a failure of either kind 0.4, confusion 0.3, abandonment 0.2."""
        return impact(self.failure, self.confusion, self.abandonment)


def segment_id(team: str, video_id: str, start_sec: float, end_sec: float) -> str:
    """uuid5 of team, video and the span in whole milliseconds; the parts are length-prefixed, so none runs over."""
    parts = (team, video_id, str(round(start_sec * 1000)), str(round(end_sec * 1000)))
    return str(uuid5(_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))


def impact(failure: Failure | str, confusion: bool, abandonment: bool) -> float:
    """The impact of these flags; rounded, so that all of them together give 0.9 and no 0.8999…."""
    failed = Failure(failure) is not Failure.NONE
    return round(FAILURE_IMPACT * failed + CONFUSION_IMPACT * confusion + ABANDONMENT_IMPACT * abandonment, 6)
