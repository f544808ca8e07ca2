"""What a batch asks for, what a score becomes, and which clip is which."""

import math
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, NamedTuple
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_NAMESPACE = UUID("c1d1a7d2-7a0e-5b1c-8a53-2f0b9f6c3e44")  # of clip ids; another one would make every clip new
MAX_SCORE = 10.0


class VideoType(StrEnum):
    """What kind of video a batch is made of; a language model is told."""

    PODCAST = "podcast"
    TALKING_HEAD = "talking_head"
    GAMING = "gaming"
    SESSION_REPLAY = "session_replay"


class AspectRatio(StrEnum):
    """Width to height of the exported clips."""

    VERTICAL = "9:16"
    SQUARE = "1:1"
    WIDE = "16:9"


class LengthPreset(StrEnum):
    """How long the clips of a batch may be; see ``LENGTHS``."""

    AUTO_0_60 = "auto_0_60"
    UP_TO_30 = "0_30"
    FROM_30_TO_60 = "30_60"
    FROM_60_TO_90 = "60_90"
    FROM_60_TO_180 = "60_180"
    UP_TO_90 = "0_90"


class Length(NamedTuple):
    """Shortest and longest clip, both allowed, in milliseconds."""

    min_ms: int
    max_ms: int

    @property
    def target_ms(self) -> int:
        """The length aimed at: the geometric middle, such as 30 s of 15 to 60."""
        return round(math.sqrt(self.min_ms * self.max_ms))


LENGTHS: Mapping[LengthPreset, Length] = MappingProxyType(
    {
        LengthPreset.AUTO_0_60: Length(15_000, 60_000),
        LengthPreset.UP_TO_30: Length(10_000, 30_000),
        LengthPreset.FROM_30_TO_60: Length(30_000, 60_000),
        LengthPreset.FROM_60_TO_90: Length(60_000, 90_000),
        LengthPreset.FROM_60_TO_180: Length(60_000, 180_000),
        LengthPreset.UP_TO_90: Length(30_000, 90_000),
    }
)


class Timeframe(BaseModel):
    """The part of the video that is looked at, in seconds; None is the video's own start or end."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: float | None = Field(default=None, ge=0, le=1e7)
    end: float | None = Field(default=None, gt=0, le=1e7)

    @model_validator(mode="after")
    def _order(self) -> "Timeframe":
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("start must lie before end")
        return self

    def within_ms(self, duration_sec: float) -> tuple[int, int]:
        """Start and end in milliseconds, inside both the timeframe and the video; start = end where nothing is left."""
        end_sec = min(duration_sec, self.end) if self.end is not None else duration_sec
        start_ms, end_ms = math.ceil((self.start or 0.0) * 1000 - 1e-6), math.floor(end_sec * 1000 + 1e-6)
        return start_ms, max(start_ms, end_ms)


class BatchConfig(BaseModel):
    """What a person asks of a batch. Its JSON is ``clip_batches.config_json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    video_type: VideoType = VideoType.TALKING_HEAD
    aspect_ratio: AspectRatio = AspectRatio.VERTICAL
    clip_length_preset: LengthPreset = LengthPreset.AUTO_0_60
    subtitle_enabled: bool = True
    processing_timeframe: Timeframe = Timeframe()
    include_specific_moments: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""

    @property
    def length(self) -> Length:
        return LENGTHS[self.clip_length_preset]


class Part(StrEnum):
    """The parts of a score, each with a grade of its own."""

    HOOK = "hook"
    FLOW = "flow"
    VALUE = "value"
    TREND = "trend"


_GRADES = (
    (9.0, "A+"), (8.0, "A"), (7.5, "A-"), (7.0, "B+"), (6.0, "B"), (5.5, "B-"),
    (5.0, "C+"), (4.0, "C"), (3.5, "C-"), (2.0, "D"), (0.0, "F"),
)  # fmt: skip
GRADES = tuple(grade for _, grade in _GRADES)


def grade_of(score: float | None) -> str | None:
    """The grade of a score from 0 to 10; None of None."""
    return None if score is None else next(grade for least, grade in _GRADES if score >= least or least == 0)


def score_of(grade: str) -> float:
    """The middle of the scores that get this grade: A+ is 9.5, F is 1. Raises ValueError where it is no grade."""
    rank = GRADES.index(grade)
    upper = _GRADES[rank - 1][0] if rank else MAX_SCORE
    return (_GRADES[rank][0] + upper) / 2


def rounded(value: float, digits: int = 1) -> float:
    """Rounds half away from zero, by the number as it is written: 2.25 is 2.3, and 1.005 with two digits 1.01."""
    return float(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def clip_id(batch_id: str, start_ms: int, end_ms: int) -> str:
    """The same for the same span of the same batch, however often it is scored."""
    return str(uuid5(_NAMESPACE, f"{len(batch_id)}:{batch_id}:{start_ms}:{end_ms}"))
