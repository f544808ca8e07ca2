"""A drawing surface in the video's own pixels, drawn twice as large and shrunk, so that edges are smooth."""

from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

SCALE = 2
Colour = str | tuple[int, int, int]


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's embedded font: nothing has to be installed, and every machine draws the same letters."""
    return ImageFont.load_default(size)


@lru_cache(maxsize=128)
def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp)


class Canvas:
    """An RGB picture of (width, height); all coordinates are in these units and may lie outside."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.width, self.height = size
        self._image = Image.new("RGB", (self.width * SCALE, self.height * SCALE))
        self._draw = ImageDraw.Draw(self._image)

    def image(self) -> Image.Image:
        """The picture at its own size."""
        return self._image.reduce(SCALE)

    def gradient(self, top: Colour, bottom: Colour, y0: float = 0.0, y1: float | None = None) -> None:
        """Fill the rows from y0 to y1 (default: the bottom) with a vertical gradient."""
        end = self.height if y1 is None else y1
        rows = max(round((end - y0) * SCALE), 1)
        self._image.paste(_gradient((self.width * SCALE, rows), top, bottom), (0, round(y0 * SCALE)))

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: Colour | None,
        radius: float = 0.0,
        outline: Colour | None = None,
        line: float = 1.0,
    ) -> None:
        """A rectangle by its upper left corner and its size; none where the size is not positive."""
        if width <= 0 or height <= 0:
            return
        box = [v * SCALE for v in (x, y, x + width, y + height)]
        radius_px = min(radius, width / 2, height / 2) * SCALE
        self._draw.rounded_rectangle(box, radius_px, fill=fill, outline=outline, width=round(line * SCALE))

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float | None = None,
        fill: Colour | None = None,
        outline: Colour | None = None,
        line: float = 1.0,
    ) -> None:
        """An ellipse by its middle and radii; a circle where ry is None."""
        ry = rx if ry is None else ry
        if rx <= 0 or ry <= 0:
            return
        box = [v * SCALE for v in (x - rx, y - ry, x + rx, y + ry)]
        self._draw.ellipse(box, fill=fill, outline=outline, width=round(line * SCALE))

    def polygon(self, points: Sequence[tuple[float, float]], fill: Colour) -> None:
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=fill)

    def path(self, points: Sequence[tuple[float, float]], fill: Colour, line: float = 1.0) -> None:
        """A polyline."""
        self._draw.line(
            [(x * SCALE, y * SCALE) for x, y in points], fill=fill, width=round(line * SCALE), joint="curve"
        )

    def arc(self, x: float, y: float, radius: float, start: float, end: float, fill: Colour, line: float = 1.0) -> None:
        """Part of a circle, degrees clockwise from three o'clock."""
        box = [v * SCALE for v in (x - radius, y - radius, x + radius, y + radius)]
        self._draw.arc(box, start, end, fill=fill, width=round(line * SCALE))

    def text(
        self, x: float, y: float, words: str, size: float, fill: Colour, anchor: str = "la", bold: bool = False
    ) -> None:
        """Text at a point; ``anchor`` as Pillow has it (``la`` upper left, ``mm`` the middle)."""
        stroke = round(size * SCALE / 24) if bold else 0
        font = _font(round(size * SCALE))
        self._draw.text((x * SCALE, y * SCALE), words, fill, font, anchor, stroke_width=stroke, stroke_fill=fill)

    def text_width(self, words: str, size: float) -> float:
        return float(_font(round(size * SCALE)).getlength(words)) / SCALE

    def paragraph(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        fill: Colour,
        width: float,
        centre: bool = False,
        bold: bool = False,
    ) -> float:
        """Wrapped text from y downwards, ``x`` its left edge (or middle); returns the y below it."""
        line = ""
        for word in [*words.split(), ""]:
            longer = f"{line} {word}".strip()
            if word and self.text_width(longer, size) <= width:
                line = longer
                continue
            self.text(x, y, line, size, fill, "ma" if centre else "la", bold)
            y += size * 1.3
            line = word
        return y


def mix(first: tuple[int, int, int], second: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    """The colour between two, ``share`` 0 being the first."""
    share = min(max(share, 0.0), 1.0)
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def ease(progress: float) -> float:
    """Slow at both ends: 0 at 0 or before, 1 at 1 or after."""
    p = min(max(progress, 0.0), 1.0)
    return p * p * (3 - 2 * p)
