"""Encode pictures as H.264 and sound as AAC, packet by packet.

In: packets of one input stream, in the file's order, the empty one at its end included. Out: coded packets for an
output container. What does not decode is left out; what the encoder refuses is an ``av.FFmpegError``.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.audio.resampler import AudioResampler
from av.container import OutputContainer
from av.filter import Graph

from clipfarm_assets.media.orientation import Turn, turn_of

_H264 = {"preset": "veryfast", "crf": "18"}
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_TICK = Fraction(1, 90_000)


class VideoEncoder:
    """Every frame that decodes, upright, 8 bits, 4:2:0, of one (width, height); an odd last row or column goes.

    The colours' meaning (range, matrix, primaries, transfer) stays the input's, and so does the shape of its pixels.
    """

    def __init__(self, stream: Any, out: OutputContainer, origin_sec: float, size: tuple[int, int]) -> None:
        self._decoder = stream.codec_context
        self._origin_sec = origin_sec
        self._step = round(1 / (stream.average_rate or 25) / _TICK)
        self._out = out.add_stream("libx264", rate=stream.average_rate or 25, options=_H264)
        self._out.pix_fmt = "yuv420p"
        self._out.codec_context.time_base = _TICK
        self._out.codec_context.thread_count = 1
        self._size = (size[0] // 2 * 2, size[1] // 2 * 2)
        self._out.width, self._out.height = self._size
        self._full_range = _is_full_range(stream.codec_context)
        self._describe(stream)
        self._setup: object = None
        self._graph: Graph | None = None
        self._last = -1

    def _describe(self, stream: Any) -> None:
        """What the coded stream says of its colours and pixels: the same as the input."""
        own, made = stream.codec_context, self._out.codec_context
        made.color_range = 2 if self._full_range else own.color_range
        if not own.format or not own.format.is_rgb:
            made.colorspace = own.colorspace
        made.color_primaries, made.color_trc = own.color_primaries, own.color_trc
        shape = stream.sample_aspect_ratio or Fraction(1)
        is_turned = own.width != own.height and self._size == (own.height // 2 * 2, own.width // 2 * 2)
        made.sample_aspect_ratio = 1 / shape if is_turned else shape

    def take(self, packet: Any) -> Iterator[Any]:
        """The coded packets that this one brings about; the empty packet brings the rest."""
        for frame in _decode(self._decoder, packet):
            time_sec = None if frame.time is None else frame.time - self._origin_sec
            yield from self._encode(self._shaped(frame), time_sec)
        if packet.size == 0:
            yield from self._out.encode(None)

    def _encode(self, frame: av.VideoFrame, time_sec: float | None) -> Iterator[Any]:
        own = self._last + self._step if time_sec is None else round(time_sec / _TICK)
        self._last = max(own, self._last + 1)
        frame.pts, frame.time_base = self._last, _TICK
        frame.pict_type = 0  # the encoder chooses its own key frames
        yield from self._out.encode(frame)

    def _shaped(self, frame: av.VideoFrame) -> av.VideoFrame:
        turn = turn_of(frame)
        setup = (frame.width, frame.height, frame.format.name, turn)
        if self._graph is None or setup != self._setup:
            self._graph, self._setup = self._make_graph(frame, turn), setup
        self._graph.push(frame)
        shaped: av.VideoFrame = self._graph.pull()  # type: ignore[assignment]
        return shaped

    def _make_graph(self, frame: av.VideoFrame, turn: Turn) -> Graph:
        """Turn, then bring to the output's size."""
        height, width = (frame.width, frame.height) if turn.transpose else (frame.height, frame.width)
        steps = []
        if turn.transpose:
            steps.append(("transpose", "cclock_flip"))
        if turn.flip_rows:
            steps.append(("vflip", ""))
        if turn.flip_columns:
            steps.append(("hflip", ""))
        if (width // 2 * 2, height // 2 * 2) == self._size:
            steps.append(("crop", f"{self._size[0]}:{self._size[1]}:0:0"))
        else:  # the video changes size on its way
            steps.append(("scale", f"{self._size[0]}:{self._size[1]}"))
        steps.append(("format", f"pix_fmts=yuv420p:color_ranges={'pc' if self._full_range else 'tv'}"))
        graph = Graph()
        is_rgb = frame.format.is_rgb
        source = {
            "video_size": f"{frame.width}x{frame.height}", "pix_fmt": frame.format.name, "time_base": str(_TICK),
            "range": "pc" if is_rgb or self._full_range else "tv", "colorspace": "gbr" if is_rgb else "unknown",
        }  # fmt: skip
        nodes = [graph.add("buffer", ":".join(f"{name}={value}" for name, value in source.items()))]
        nodes += [graph.add(name, args) if args else graph.add(name) for name, args in steps]
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        return graph


def _is_full_range(codec: Any) -> bool:
    return codec.color_range == 2 or bool(codec.pix_fmt and codec.pix_fmt.startswith("yuvj"))


class AudioEncoder:
    """Sound as AAC at its own rate where AAC has that, in stereo or mono, at its own times."""

    def __init__(self, stream: Any, out: OutputContainer, origin_sec: float) -> None:
        self._decoder = stream.codec_context
        self._origin_sec = origin_sec
        rate = self._decoder.sample_rate
        self._rate = rate if rate in _AAC_RATES else 48_000
        self._layout = "mono" if self._decoder.layout.nb_channels == 1 else "stereo"
        self._out = out.add_stream("aac", rate=self._rate, layout=self._layout)
        self._resampler: AudioResampler | None = None
        self._setup: object = None
        self._next = 0

    def take(self, packet: Any) -> Iterator[Any]:
        """The coded packets that this one brings about; the empty packet brings the rest."""
        for frame in _decode(self._decoder, packet):
            setup = (frame.format.name, frame.layout.name, frame.sample_rate)
            if setup != self._setup:
                yield from self._resample(None)
                self._resampler = AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
                self._setup = setup
            if frame.time is not None:
                self._next = max(self._next, round((frame.time - self._origin_sec) * self._rate))
            frame.pts = None
            yield from self._resample(frame)
        if packet.size == 0:
            yield from self._resample(None)
            yield from self._out.encode(None)

    def _resample(self, frame: Any) -> Iterator[Any]:
        try:
            resampled = self._resampler.resample(frame) if self._resampler else []
        except av.FFmpegError:  # a damaged header claims a rate or a layout that cannot be
            self._resampler, self._setup = None, None
            return
        for made in resampled:
            made.pts, made.time_base = self._next, Fraction(1, self._rate)
            self._next += made.samples
            yield from self._out.encode(made)


def _decode(codec: Any, packet: Any) -> Any:
    try:
        return codec.decode(packet)
    except av.FFmpegError:
        return []
