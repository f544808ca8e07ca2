"""What a sample is made of: a sample has shots, a shot has a picture and narrated lines.

Seconds are floats from the start of the file. Sizes are (width, height) in pixels as the viewer sees them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

LookValue = str | int | float | Sequence[str]
Look = Mapping[str, LookValue]
Sound = Literal["speech", "game", "beat", "none"]


@dataclass(frozen=True)
class Voice:
    """How a speaker sounds: an espeak-ng voice with a variant, words per minute, and pitch (0-99)."""

    name: str
    words_per_minute: int = 165
    pitch: int = 50


@dataclass(frozen=True)
class Line:
    """One narrated sentence or two; it becomes one cue of the transcript. ASCII only, so bytes are characters."""

    speaker: str
    text: str


@dataclass(frozen=True)
class Shot:
    """A span between two cuts.

    Attributes:
        kind: a painter's name, see ``paint.PAINTERS``.
        look: the painter's parameters.
        lines: spoken in this shot, one after the other.
        hold_sec: how long the picture stays after the last line, or the whole length where nothing is said.
    """

    kind: str
    look: Look = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    hold_sec: float = 0.4


@dataclass(frozen=True)
class Listing:
    """The sample's line in the metadata, but for the numbers that change from one observation to the next.

    ``views`` is the number a month after publication, ``spread_days`` the time constant of its growth, ``start`` the
    growth's shape: ``decay`` (most on the first days) or ``late`` (slow, then found).
    """

    title: str
    description: str
    query: str
    channel: str
    creator: str
    tags: str
    published_at: str
    views: int
    spread_days: float
    snapshots: tuple[float, ...]
    user_id: str = ""
    team: str = "creators"
    video_type: str = "podcast"
    game: str = ""
    broadcaster: str = ""
    start: Literal["decay", "late"] = "decay"
    like_rate: float = 0.04
    comment_rate: float = 0.004


@dataclass(frozen=True)
class Sample:
    """One video.

    Attributes:
        size: (width, height) as seen; both even.
        sound: ``speech`` only, speech over ``game`` noises, speech over a ``beat``, or ``none``: no audio track.
        sidecar: the transcript's format, None for no transcript.
        redraw_every: the picture changes every so many frames.
        rotation: degrees, counter-clockwise, by which a player turns the stored picture (a display matrix).
        variable_rate: frames are dropped as a screen recorder drops them; ``fps`` is the highest rate.
        broken_seconds: above 0, the file is broken and this is the length that the metadata claims.
    """

    video_id: str
    size: tuple[int, int]
    fps: Fraction
    shots: tuple[Shot, ...]
    voices: Mapping[str, Voice]
    listing: Listing
    sound: Sound = "speech"
    sidecar: Literal["json", "srt", "vtt"] | None = "json"
    redraw_every: int = 1
    rotation: int = 0
    variable_rate: bool = False
    crf: int = 27
    audio_bit_rate: int = 32_000
    broken_seconds: float = 0.0

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(line for shot in self.shots for line in shot.lines)
