"""Pictures of one shape cut out of pictures of another, without bars.

In: upright or turned frames of any size and format, and for each where the middle of the cut is. Out: frames of
exactly the wanted size: square pixels, 8 bits, 4:2:0, BT.709 in limited range, which is what every player assumes of
such a size. HDR (PQ, HLG) and other primaries are brought there by swscale's colour management. What can go wrong:
``av.FFmpegError`` where a frame cannot be converted.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

import av
from av.filter import Graph
from av.filter.context import FilterContext

from clipfarm_assets.media.orientation import Turn, turn_of

Axis = Literal["columns", "rows"]

_TICK = Fraction(1, 90_000)
_HDR_TRANSFERS = (16, 18)  # PQ (SMPTE ST 2084), HLG (ARIB STD-B67), by ITU-T H.273
_BT2020 = 9
_MOST_STRETCH = 0.004  # that rounding the cut to whole pixels may cost; beyond it the picture is scaled first


@dataclass(frozen=True)
class Cut:
    """Which part of an upright picture is kept: all of one axis, ``kept`` (0 … 1) of the other."""

    axis: Axis
    kept: float


def cut_for(frame: av.VideoFrame, pixel_shape: Fraction, size: tuple[int, int]) -> Cut:
    """The largest part of a frame that has the shape of ``size`` (width, height).

    Args:
        pixel_shape: width of a stored pixel by its height.
    """
    width, height = _displayed(frame, pixel_shape)
    ratio = float(width / height) / (size[0] / size[1])
    return Cut("columns", 1 / ratio) if ratio >= 1 else Cut("rows", ratio)


def _displayed(frame: av.VideoFrame, pixel_shape: Fraction) -> tuple[Fraction, Fraction]:
    width, height = frame.width * pixel_shape, Fraction(frame.height)
    return (height, width) if turn_of(frame).transpose else (width, height)


class Reframer:
    """Turns, cuts and scales the frames of one clip.

    A steady cut is made before scaling, which costs less; one that moves, or whose rounding would show, after it, in
    steps of two pixels of the result.
    """

    def __init__(self, size: tuple[int, int], pixel_shape: Fraction, is_moving: bool) -> None:
        self._size, self._pixel_shape, self._is_moving = size, pixel_shape, is_moving
        self._setup: object = None
        self._graph: Graph | None = None
        self._crop: FilterContext | None = None
        self._range = 0  # places that the cut can have, in pixels of the crop filter's input
        self._place = ""
        self._length = 0
        self._at = 0

    def reframe(self, frame: av.VideoFrame, centre: float) -> av.VideoFrame:
        """A frame of the wanted size.

        Args:
            centre: of the cut, along its axis, 0 to 1 of the upright picture.
        """
        # The turn is the container's and stays. It is not asked for with every frame: PyAV's side data and its frame
        # hold on to one another, and hundreds of pictures would wait for the garbage collector.
        setup = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, frame.color_trc)
        if self._graph is None or setup != self._setup:
            self._graph, self._setup, self._at = self._made(frame, turn_of(frame)), setup, 0
        assert self._crop is not None
        at = round(centre * self._range - self._length / 2) // 2 * 2
        at = max(min(at, self._range - self._length), 0)
        if at != self._at:
            self._crop.process_command(self._place, str(at))
            self._at = at
        frame.pts, frame.time_base = 0, _TICK
        self._graph.push(frame)
        made: av.VideoFrame = self._graph.pull()  # type: ignore[assignment]
        return made

    def _made(self, frame: av.VideoFrame, turn: Turn) -> Graph:
        cut = cut_for(frame, self._pixel_shape, self._size)
        width, height = (frame.height, frame.width) if turn.transpose else (frame.width, frame.height)
        along = 0 if cut.axis == "columns" else 1
        self._place = "xy"[along]
        whole, wanted = (width, height)[along], self._size[along]
        kept = max(round(whole * cut.kept / 2) * 2, 2)
        is_first = not self._is_moving and abs(kept / (whole * cut.kept) - 1) <= _MOST_STRETCH and kept <= whole
        if is_first:
            cropped = [width, height]
            cropped[along] = self._length = kept
            self._range = whole
            steps = [("crop", f"{cropped[0]}:{cropped[1]}:0:0"), ("scale", self._scale(frame, self._size))]
            crop_at = 0
        else:
            scaled = list(self._size)
            scaled[along] = self._range = max(ceil(wanted / cut.kept / 2 - 1e-9) * 2, wanted)
            self._length = wanted
            steps = [
                ("scale", self._scale(frame, (scaled[0], scaled[1]))),
                ("crop", f"{self._size[0]}:{self._size[1]}:0:0"),
            ]
            crop_at = 1
        turns = [("transpose", "cclock_flip")] if turn.transpose else []
        turns += [("vflip", "")] if turn.flip_rows else []
        turns += [("hflip", "")] if turn.flip_columns else []
        graph = Graph()
        nodes = [graph.add("buffer", _source(frame))]
        nodes += [graph.add(name, args) if args else graph.add(name) for name, args in turns]
        last = [("setsar", "1"), ("format", "pix_fmts=yuv420p:color_ranges=tv")]
        made = [graph.add(name, args) for name, args in [*_before(frame), *steps, *last]]
        nodes += [*made, graph.add("buffersink")]
        self._crop = made[len(_before(frame)) + crop_at]
        graph.link_nodes(*nodes).configure()
        return graph

    def _scale(self, frame: av.VideoFrame, size: tuple[int, int]) -> str:
        is_same = _before(frame) or frame.format.is_rgb
        matrix = "" if is_same else f":in_color_matrix={_matrix(frame)}"
        return f"w={size[0]}:h={size[1]}:flags=bicubic:out_color_matrix=bt709:out_range=tv{matrix}"


def _before(frame: av.VideoFrame) -> list[tuple[str, str]]:
    """Colours brought to BT.709 at the frame's own size: the tables for it are made once, and take seconds."""
    if frame.color_trc not in _HDR_TRANSFERS and frame.color_primaries != _BT2020:
        return []
    managed = "intent=perceptual:out_primaries=bt709:out_transfer=bt709:out_color_matrix=bt709:out_range=tv"
    return [("scale", f"w=iw:h=ih:{managed}"), ("format", "pix_fmts=yuv420p")]


def _matrix(frame: av.VideoFrame) -> str:
    """What the stream says, else what players take pictures of such a size for."""
    known = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
    return known.get(frame.colorspace, "bt709" if min(frame.width, frame.height) >= 720 else "smpte170m")


def _source(frame: av.VideoFrame) -> str:
    is_full = frame.format.is_rgb or frame.color_range == 2 or frame.format.name.startswith("yuvj")
    space = "gbr" if frame.format.is_rgb else {9: "bt2020nc", 10: "bt2020c"}.get(int(frame.colorspace), "unknown")
    fields = {
        "video_size": f"{frame.width}x{frame.height}", "pix_fmt": frame.format.name, "time_base": str(_TICK),
        "range": "pc" if is_full else "tv", "colorspace": space,
    }  # fmt: skip
    return ":".join(f"{name}={value}" for name, value in fields.items())
