"""What a painter is told."""

from collections.abc import Callable
from dataclasses import dataclass

from clipfarm_assets.samples.model import Look
from clipfarm_assets.samples.paint.canvas import Canvas


@dataclass(frozen=True)
class Moment:
    """A point in a shot.

    Attributes:
        t: seconds since the shot began.
        length: the shot's seconds.
        level: loudness of the speech now, 0-1.
        speaker: who speaks now, empty for nobody.
    """

    t: float
    length: float
    level: float = 0.0
    speaker: str = ""

    @property
    def progress(self) -> float:
        """Share of the shot that has passed, 0-1."""
        return self.t / self.length if self.length else 0.0


Painter = Callable[[Canvas, Look, Moment], None]


def items(look: Look, name: str) -> list[str]:
    """A parameter that is a list of texts; empty where it is missing."""
    value = look.get(name, ())
    return [] if isinstance(value, str | int | float) else [str(item) for item in value]


def number(look: Look, name: str, default: float) -> float:
    """A parameter that is a number."""
    value = look.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def text(look: Look, name: str, default: str = "") -> str:
    """A parameter that is one text."""
    return str(look.get(name, default))
