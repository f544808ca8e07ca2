"""Subtitles drawn onto pictures.

In: subtitles, the picture's size, a font. Out: a ``Lettering`` that changes 4:2:0 frames in place, each subtitle drawn
once. What can go wrong: ``VideoError`` naming the letters that no font here has. Signs that are no letters, such as
emoji, are left out instead and listed in ``left_out``.

Without a configured font, DejaVu Sans Bold is used, which comes with matplotlib: Latin, Greek, Cyrillic, Arabic,
Hebrew, Armenian, Georgian; not Chinese, Japanese, Korean, Thai or the scripts of India. For those the machine's own
fonts are searched.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from clipfarm_assets.errors import VideoError
from clipfarm_assets.export.subtitles import Subtitle, clean, spoken

_LARGEST = 0.034  # letters, of the picture's longer side
_WIDEST = 0.9  # a line, of the picture's width
_OUTLINE = 0.09  # of a letter's size
_BELOW = 0.14  # room under the last line, of the height: apps lay their buttons there
_BELOW_WIDE = 0.06  # the same in a picture wider than high


@dataclass(frozen=True)
class _Drawing:
    """A drawn subtitle at its place: 8-bit planes Y, U, V (limited range) and how much of each covers, 0 … 256."""

    top: int
    left: int
    values: tuple[NDArray[np.uint16], ...]
    covers: tuple[NDArray[np.uint16], ...]


class Lettering:
    """Draws the subtitles of one clip.

    Attributes:
        left_out: signs that no font here has, once each.
    """

    def __init__(self, subtitles: Sequence[Subtitle], size: tuple[int, int], font: Path | None = None) -> None:
        letters = spoken(subtitles)
        self._font_path, missing = font_for(letters, font)
        self.left_out = "".join(sorted(missing))
        self._subtitles = [s for s in (_without(s, missing) for s in subtitles) if s.lines]
        self._size = size
        self._font = _largest_font(self._font_path, [line for s in self._subtitles for line in s.lines], size)
        self._at = 0
        self._drawn: tuple[int, _Drawing] | None = None

    def rewind(self) -> None:
        """Begin again at the clip's start."""
        self._at = 0

    def draw(self, frame: av.VideoFrame, time_sec: float) -> None:
        """Letters onto a yuv420p frame, in place; times since the clip's start, never going back."""
        ms = round(time_sec * 1000)
        while self._at < len(self._subtitles) and self._subtitles[self._at].end_ms <= ms:
            self._at += 1
        if self._at == len(self._subtitles) or self._subtitles[self._at].start_ms > ms:
            return
        if self._drawn is None or self._drawn[0] != self._at:
            self._drawn = self._at, _drawing(self._subtitles[self._at].lines, self._font, self._size)
        frame.make_writable()
        _lay(self._drawn[1], frame)


def _without(subtitle: Subtitle, missing: frozenset[str]) -> Subtitle:
    lines = (clean("".join(c for c in line if c not in missing)) for line in subtitle.lines)
    return replace(subtitle, lines=tuple(line for line in lines if line))


def font_for(letters: str, configured: Path | None) -> tuple[Path, frozenset[str]]:
    """A font that has all letters, and the other signs that it lacks.

    Raises:
        VideoError: no font has all letters.
    """
    wanted = frozenset(c for c in letters if unicodedata.category(c)[0] in "LMN")
    paths = [configured] if configured is not None else [packaged_font(), *_system_fonts()]
    fewest: frozenset[str] | None = None
    for path in paths:
        has = _characters(path)
        lacks = wanted - has
        if not lacks:
            ignorable = frozenset(c for c in letters if unicodedata.category(c) == "Cf")
            return path, frozenset(letters) - has - ignorable
        fewest = lacks if fewest is None or len(lacks) < len(fewest) else fewest
    some = "".join(sorted(fewest or ())[:20])
    raise VideoError(
        f"No font here draws the letters {some}.",
        hint="Name a font that has them in the export's settings, or export without drawn subtitles.",
    )


def packaged_font() -> Path:
    """DejaVu Sans Bold."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


@lru_cache(maxsize=1)
def _system_fonts() -> tuple[Path, ...]:
    """Bold ones first, then by name."""
    from matplotlib import font_manager

    found = sorted(Path(path) for path in font_manager.findSystemFonts())
    return tuple(sorted(found, key=lambda path: ("bold" not in path.name.lower(), path.name)))


@lru_cache(maxsize=512)
def _characters(path: Path) -> frozenset[str]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(str(path)).get_charmap()))
    except (OSError, RuntimeError, ValueError) as error:
        raise VideoError(f"The font {path.name} cannot be read.", hint="Name another font.") from error


def _largest_font(path: Path, lines: Sequence[str], size: tuple[int, int]) -> ImageFont.FreeTypeFont:
    """One size for the whole clip, at which its longest line fits."""
    points = round(_LARGEST * max(size))
    font = ImageFont.truetype(str(path), points)
    longest = max((font.getlength(line) for line in lines), default=0.0)
    room = _WIDEST * size[0] - 2 * _OUTLINE * points
    return font if longest <= room else ImageFont.truetype(str(path), max(int(points * room / longest), 8))


def _drawing(lines: Sequence[str], font: ImageFont.FreeTypeFont, size: tuple[int, int]) -> _Drawing:
    """White with a black outline, in the middle of the lower part; the box's edges are even, as chroma wants."""
    width, height = size
    outline = max(round(_OUTLINE * font.size), 1)
    text = "\n".join(lines)
    spacing = font.size // 5
    measure = ImageDraw.Draw(Image.new("L", (1, 1)))
    box = measure.multiline_textbbox((0, 0), text, font, spacing=spacing, align="center", stroke_width=outline)
    box_width, box_height = (min((round(b - a) + 3) // 2 * 2, side) for a, b, side in zip(box, box[2:], size))  # noqa: B905
    picture = Image.new("LA", (box_width, box_height), (0, 0))
    place = (1 - box[0], 1 - box[1])
    ImageDraw.Draw(picture).multiline_text(
        place, text, (255, 255), font, spacing=spacing, align="center", stroke_width=outline, stroke_fill=(0, 255)
    )
    below = _BELOW_WIDE if width > height else _BELOW
    top = max(round(height * (1 - below)) - box_height, 0) // 2 * 2
    left = (width - box_width) // 2 // 2 * 2
    light, cover = np.moveaxis(np.asarray(picture, np.float64), -1, 0)
    cover /= 255.0
    halved = cover.reshape(box_height // 2, 2, box_width // 2, 2).mean(axis=(1, 3))
    grey = np.full(halved.shape, 128, np.uint16)
    values = (np.rint(16 + light * 219 / 255).astype(np.uint16), grey, grey)
    covers = tuple(np.rint(c * 256).astype(np.uint16) for c in (cover, halved, halved))
    return _Drawing(top, left, values, covers)


def _lay(drawing: _Drawing, frame: av.VideoFrame) -> None:
    for number, (plane, value, cover) in enumerate(zip(frame.planes, drawing.values, drawing.covers, strict=True)):
        share = 1 if number == 0 else 2
        rows, columns = value.shape
        top, left = drawing.top // share, drawing.left // share
        whole = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        part = whole[top : top + rows, left : left + columns]
        part[:] = (part * (256 - cover) + value * cover + 128) >> 8
