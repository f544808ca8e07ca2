"""A clip as an MP4 file: cut to the frame and the sample, reframed, with subtitles drawn onto it where asked for.

In: a local video, a span in seconds from time 0, the wanted shape, subtitles. Out: an ``ExportResult`` and the file,
written whole or not at all: H.264 in 8 bits 4:2:0 and AAC, its index at its beginning. What can go wrong:
``UnsupportedMedia`` (nothing decodes), ``VideoError`` (the span holds no picture, a font lacks letters, the encoder
refuses). Memory does not grow with the clip's length.

Exact means: the frames are those whose time lies in [start, end), each at its time since the start (the first one at
0), none made up or dropped, whatever the rate. Sample ``n`` of the sound is what is heard at ``start + n / rate``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from clipfarm_assets.errors import VideoError
from clipfarm_assets.export.lettering import Lettering
from clipfarm_assets.export.reframe import Cut, Reframer, cut_for
from clipfarm_assets.export.sound import Samples, SoundSpan, has_sound
from clipfarm_assets.export.span import IndexDisagrees, TimedFrame, frames_between
from clipfarm_assets.export.subject import Shot, centred, find_shots
from clipfarm_assets.export.subtitles import Subtitle
from clipfarm_assets.media.opening import open_media, reason, video_of
from clipfarm_assets.settings import usable_cores

AspectRatio = Literal["9:16", "1:1", "16:9"]
Progress = Callable[[float], None]

SIZES: dict[AspectRatio, tuple[int, int]] = {"9:16": (1080, 1920), "1:1": (1080, 1080), "16:9": (1920, 1080)}

_TICK = Fraction(1, 90_000)
_ANALYSIS_SHARE = 0.25  # of an export's time
_WHOLE = 0.999  # a cut that keeps more than this keeps all: there is no subject to look for


@dataclass(frozen=True)
class ExportSettings:
    """How clips are encoded and drawn.

    Attributes:
        crf, preset: x264's; lower is better, slower is smaller.
        sound_bits: a second of stereo; mono takes half.
        threads: of the encoder; 0 for one a core.
        find_subject: cut around what moves; else around the middle.
        font: of drawn subtitles; a file that Pillow reads.
    """

    crf: int = 20
    preset: str = "veryfast"
    sound_bits: int = 160_000
    threads: int = 0
    find_subject: bool = True
    font: Path | None = None


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
        duration_sec: of the clip: the span, or less where the video ends within it.
        n_frames: pictures written; the first and last one's time in the source.
        has_sound: False where the source has none.
        lost_sound_sec: silence in place of sound that did not decode.
        shots: where the cut was taken, shot by shot.
        left_out: signs in the subtitles that no font draws, such as emoji.
    """

    path: Path
    width: int
    height: int
    duration_sec: float
    n_frames: int
    first_frame_sec: float
    last_frame_sec: float
    has_sound: bool
    lost_sound_sec: float
    shots: tuple[Shot, ...]
    left_out: str


def render(
    source: Path,
    start_sec: float,
    end_sec: float,
    aspect_ratio: AspectRatio,
    path_out: Path,
    *,
    subtitles: Sequence[Subtitle] = (),
    burn_in: bool = False,
    cuts_sec: Sequence[float] | None = None,
    settings: ExportSettings | None = None,
    progress: Progress | None = None,
) -> ExportResult:
    """Write ``path_out`` whole or not at all.

    Args:
        subtitles: of this clip, as ``clip_subtitles`` gives them; drawn with ``burn_in``.
        cuts_sec: where the video's scenes begin, if that is known; looked for otherwise.
        progress: told from time to time how much is done, 0 to 1, never less than before.

    Raises:
        UnsupportedMedia: nothing decodes.
        VideoError: the span holds no picture, no font draws the subtitles, or the encoder refuses.
    """
    if not 0 <= start_sec < end_sec:
        raise VideoError(f"A clip cannot go from {start_sec:g} s to {end_sec:g} s.")
    letters = Lettering(subtitles, SIZES[aspect_ratio], (settings or ExportSettings()).font) if burn_in else None
    clip = _Clip(
        source, start_sec, end_sec, SIZES[aspect_ratio], letters, cuts_sec, settings or ExportSettings(),
        progress or (lambda share: None),
    )  # fmt: skip
    partial = path_out.with_name(path_out.name + ".partial")
    try:
        try:
            result = clip.write(partial, is_indexed=True)
        except IndexDisagrees:
            if letters is not None:
                letters.rewind()
            result = clip.write(partial, is_indexed=False)
        partial.replace(path_out)
    finally:
        partial.unlink(missing_ok=True)
    clip.progress(1.0)
    return replace(result, path=path_out)


@dataclass
class _Clip:
    """What is to be written."""

    source: Path
    start_sec: float
    end_sec: float
    size: tuple[int, int]
    letters: Lettering | None
    cuts_sec: Sequence[float] | None
    settings: ExportSettings
    tell: Progress
    told: float = 0.0

    def progress(self, share: float) -> None:
        if share >= self.told + 0.01 or share == 1.0 != self.told:
            self.told = share
            self.tell(share)

    def write(self, path: Path, is_indexed: bool) -> ExportResult:
        shots = self._shots(is_indexed)
        try:
            with av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"}) as out:
                picture = _Picture(self, out, shots, is_indexed)
                sound = _Sound(self, out, picture.end_sec) if has_sound(self.source) else None
                for packet in _side_by_side(picture, sound):
                    out.mux(packet)
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(f"The clip cannot be written: {reason(error)}.") from error
        first, last = picture.first_sec, picture.last_sec
        return ExportResult(
            path, *self.size, duration_sec=picture.end_sec - self.start_sec, n_frames=picture.n_frames,
            first_frame_sec=first, last_frame_sec=last, has_sound=sound is not None,
            lost_sound_sec=sound.span.lost_sec if sound else 0.0, shots=tuple(shots),
            left_out=self.letters.left_out if self.letters else "",
        )  # fmt: skip

    def frames(self, is_indexed: bool) -> Iterator[TimedFrame]:
        return frames_between(self.source, self.start_sec, self.end_sec, is_indexed)

    def _shots(self, is_indexed: bool) -> list[Shot]:
        """Where the camera looks; takes a pass of its own, as the path of a shot depends on the whole of it."""
        with open_media(self.source) as media:
            shape = video_of(media).sample_aspect_ratio or Fraction(1)
        frames = self.frames(is_indexed)
        head = next(frames, None)
        if head is None:
            raise VideoError(f"The video has no picture between {self.start_sec:g} s and {self.end_sec:g} s.")
        cut: Cut = cut_for(head[1], shape, self.size)
        if cut.kept >= _WHOLE or not self.settings.find_subject:
            frames.close()  # type: ignore[attr-defined]
            return [centred(self.start_sec)]
        return find_shots(self._analysed(head, frames), cut.axis, cut.kept, self.cuts_sec)

    def _analysed(self, head: TimedFrame, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        yield head
        for time_sec, frame in frames:
            self.progress(_ANALYSIS_SHARE * (time_sec - self.start_sec) / (self.end_sec - self.start_sec))
            yield time_sec, frame


class _Picture:
    """The clip's pictures, coded one by one."""

    def __init__(self, clip: _Clip, out: Any, shots: Sequence[Shot], is_indexed: bool) -> None:
        self._clip, self._shots = clip, shots
        self._frames = clip.frames(is_indexed)
        with open_media(clip.source) as media:
            stream = video_of(media)
            rate = stream.average_rate or Fraction(25)
            shape = stream.sample_aspect_ratio or Fraction(1)
            self.end_sec = min(clip.end_sec, max(_video_end(media), clip.start_sec))
        self._reframer = Reframer(clip.size, shape, any(shot.is_moving for shot in shots))
        self._out = out.add_stream(
            "libx264", rate=rate, options={"preset": clip.settings.preset, "crf": str(clip.settings.crf)}
        )
        self._out.width, self._out.height = clip.size
        self._out.pix_fmt = "yuv420p"
        codec = self._out.codec_context
        codec.time_base = _TICK
        codec.thread_count = clip.settings.threads or usable_cores()
        codec.thread_type = "FRAME"  # threads that share a picture cut it into slices, which cost size
        codec.color_range = codec.colorspace = codec.color_primaries = codec.color_trc = 1
        codec.sample_aspect_ratio = Fraction(1)
        self._step = round(1 / rate / _TICK)
        self._last_tick = -1
        self.n_frames = 0
        self.first_sec = self.last_sec = clip.start_sec
        self.is_done = False

    @property
    def at_sec(self) -> float:
        """How far the clip is coded."""
        return max(self.last_sec - self._clip.start_sec, 0.0) if self.n_frames else 0.0

    def more(self) -> Iterator[Any]:
        """The coded packets that the next frame brings about, or the last ones."""
        following = next(self._frames, None)
        if following is None:
            self.is_done = True
            yield from self._last_ones(list(self._out.encode(None)))
            return
        time_sec, frame = following
        made = self._reframer.reframe(frame, self._centre(time_sec))
        since_start = max(time_sec - self._clip.start_sec, 0.0) if self.n_frames else 0.0
        if self._clip.letters is not None:
            self._clip.letters.draw(made, since_start)
        self._last_tick = max(round(since_start / _TICK), self._last_tick + 1)
        made.pts, made.time_base = self._last_tick, _TICK
        made.pict_type = 0  # the encoder chooses its own key frames
        if not self.n_frames:
            self.first_sec = time_sec
        self.last_sec = time_sec
        self.n_frames += 1
        whole = self._clip.end_sec - self._clip.start_sec
        self._clip.progress(_ANALYSIS_SHARE + (1 - _ANALYSIS_SHARE) * min(since_start / whole, 0.99))
        yield from self._out.encode(made)

    def _centre(self, time_sec: float) -> float:
        while len(self._shots) > 1 and self._shots[1].start_sec <= time_sec:
            self._shots = self._shots[1:]
        return self._shots[0].centre(time_sec)

    def _last_ones(self, packets: list[Any]) -> Iterable[Any]:
        """The last picture stays until the clip ends."""
        if packets:
            end = round((self.end_sec - self._clip.start_sec) / _TICK)
            last = max(packets, key=lambda packet: packet.pts)
            last.duration = max(end - last.pts, 1)
        return packets


def _video_end(media: Any) -> float:
    """Where the file ends by its own account; far away where it does not say."""
    if not media.container.duration:
        return float("inf")
    start = (media.container.start_time or 0) / av.time_base
    return float(media.container.duration / av.time_base + start - media.origin_sec)


class _Sound:
    """The clip's sound, coded piece by piece."""

    def __init__(self, clip: _Clip, out: Any, end_sec: float) -> None:
        self.span = SoundSpan(clip.source, clip.start_sec, end_sec)
        bits = clip.settings.sound_bits // (2 if self.span.layout == "mono" else 1)
        self._out = out.add_stream("aac", rate=self.span.rate, layout=self.span.layout)
        self._out.bit_rate = bits
        self._pieces = self.span.pieces()
        self._n_samples = 0
        self.is_done = False

    @property
    def at_sec(self) -> float:
        return self._n_samples / self.span.rate

    def more(self) -> Iterator[Any]:
        samples = next(self._pieces, None)
        if samples is None:
            self.is_done = True
            yield from self._out.encode(None)
            return
        frame = self._frame(samples)
        self._n_samples += samples.shape[1]
        yield from self._out.encode(frame)

    def _frame(self, samples: Samples) -> av.AudioFrame:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self.span.layout)
        frame.sample_rate = self.span.rate
        frame.pts, frame.time_base = self._n_samples, Fraction(1, self.span.rate)
        return frame


def _side_by_side(picture: _Picture, sound: _Sound | None) -> Iterator[Any]:
    """Packets of both, whichever is behind next, so that neither waits in memory for the other."""
    while not picture.is_done or (sound is not None and not sound.is_done):
        is_sound = sound is not None and not sound.is_done and (picture.is_done or sound.at_sec < picture.at_sec)
        yield from sound.more() if is_sound and sound is not None else picture.more()
