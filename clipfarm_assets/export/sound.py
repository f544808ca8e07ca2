"""The sound of a stretch of a video, to the sample.

In: a local path and a span in seconds from time 0. Out: float32 samples, channel by channel, that cover the span
exactly: sample ``n`` is what is heard at ``start + n / rate``, silence where there is none. What can go wrong:
``UnsupportedMedia`` where nothing of the track decodes; a track that breaks goes on in silence, and ``lost_sec`` says
for how long.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.media.opening import Media, decoded, only, open_media, reason

Samples = NDArray[np.float32]

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# Decoders hear back: AAC a frame, MP3 its reservoir, Opus 80 ms.
_RUN_IN_SEC = 1.0
# Timestamps jitter by a codec's frame; a longer jump is a hole.
_HOLE_SEC = 0.1
_SILENCE_SAMPLES = 1 << 16


class SoundSpan:
    """The sound of [start, end) of a file.

    Attributes:
        rate: samples a second: the source's own where AAC has it, else 48,000.
        layout: ``mono`` or ``stereo``.
        n_samples: of the whole span.
        lost_sec: silence in place of sound that did not decode, once all was read.
    """

    def __init__(self, path: Path, start_sec: float, end_sec: float) -> None:
        self._path, self._start_sec = path, start_sec
        with open_media(path) as media:
            if media.audio is None:
                if media.container.streams.audio:
                    raise UnsupportedMedia("No decoder knows the codec of the sound.")
                raise ValueError("the file has no sound: ask has_sound first")
            own, channels = media.audio.codec_context.sample_rate, media.audio.codec_context.layout.nb_channels
        self.rate = own if own in AAC_RATES else 48_000
        self.layout = "mono" if channels == 1 else "stereo"
        self.n_samples = round((end_sec - start_sec) * self.rate)
        self.lost_sec = 0.0
        self._errors: list[av.FFmpegError] = []

    def pieces(self) -> Iterator[Samples]:
        """Samples (channels, n), in order, ``n_samples`` of them altogether."""
        n_channels = 1 if self.layout == "mono" else 2
        done = 0
        for at, samples in self._heard():
            if at > done:
                yield from _silence(n_channels, min(at, self.n_samples) - done)
                self._count_loss(min(at, self.n_samples) - done)
            begin, end = max(done - at, 0), min(samples.shape[1], self.n_samples - at)
            done = max(done, min(at, self.n_samples))
            if end > begin:
                yield samples[:, begin:end]
                done += end - begin
            if done >= self.n_samples:
                return
        self._count_loss(self.n_samples - done)
        yield from _silence(n_channels, self.n_samples - done)

    def _count_loss(self, n_samples: int) -> None:
        if self._errors:
            self.lost_sec += n_samples / self.rate

    def _heard(self) -> Iterator[tuple[int, Samples]]:
        """Samples with the place of the first one, from the span's start; some lie before it."""
        is_sought = self._start_sec > _RUN_IN_SEC
        has_frames = False
        for frame, time_sec in self._frames(self._start_sec - _RUN_IN_SEC if is_sought else None):
            if is_sought and not has_frames and time_sec > self._start_sec:
                break  # the seek went too far, or the sound begins later
            has_frames = True
            yield from self._placed(frame, time_sec)
        else:
            yield from self._rest()
            return
        self._resampler = None
        for frame, time_sec in self._frames(None):
            yield from self._placed(frame, time_sec)
        yield from self._rest()

    _resampler: AudioResampler | None = None
    _setup: tuple[object, ...] = ()
    _next = 0

    def _placed(self, frame: AudioFrame, time_sec: float) -> Iterator[tuple[int, Samples]]:
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        own = round((time_sec - self._start_sec) * self.rate)
        if self._resampler is None or setup != self._setup or abs(own - self._due) > _HOLE_SEC * self.rate:
            yield from self._rest()
            self._resampler = AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
            self._setup, self._next, self._due = setup, own, float(own)
        frame.pts = None  # holes are filled here, not by the resampler
        try:
            made = self._resampler.resample(frame)
        except av.FFmpegError as error:  # a damaged header claims a rate or a layout that cannot be
            self._errors.append(error)
            self._resampler = None
            return
        self._due += frame.samples * self.rate / frame.sample_rate
        yield from self._advanced(made)

    _due = 0.0

    def _rest(self) -> Iterator[tuple[int, Samples]]:
        if self._resampler is not None:
            yield from self._advanced(self._resampler.resample(None))
            self._resampler = None

    def _advanced(self, frames: list[AudioFrame]) -> Iterator[tuple[int, Samples]]:
        for frame in frames:
            samples: Samples = frame.to_ndarray().astype(np.float32, copy=False)
            yield self._next, samples
            self._next += samples.shape[1]

    def _frames(self, seek_sec: float | None) -> Iterator[tuple[AudioFrame, float]]:
        """Decoded frames with their times; one without a time follows the one before."""
        with open_media(self._path) as media:
            stream = media.audio
            assert stream is not None
            only(media.container, stream)
            if seek_sec is not None and stream.time_base is not None:
                _seek(media, seek_sec)
            follows = 0.0
            has_frames = False
            for frame in decoded(media.container, stream, self._errors.append):
                time_sec = follows if frame.time is None else frame.time - media.origin_sec
                follows = time_sec + frame.samples / frame.sample_rate
                has_frames = True
                yield frame, time_sec
            if not has_frames and self._errors and seek_sec is None:
                raise UnsupportedMedia(f"Nothing of the sound can be decoded: {reason(self._errors[0])}.")


def has_sound(path: Path) -> bool:
    """Whether the file has a sound track.

    Raises:
        UnsupportedMedia, MissingRawObject: as ``open_media`` does.
    """
    with open_media(path) as media:
        return bool(media.container.streams.audio)


def _seek(media: Media, to_sec: float) -> None:
    stream = media.audio
    assert stream is not None and stream.time_base is not None
    try:
        media.container.seek(int((to_sec + media.origin_sec) / stream.time_base), stream=stream, backward=True)
    except av.FFmpegError:
        media.container.seek(0)


def _silence(n_channels: int, n_samples: int) -> Iterator[Samples]:
    while n_samples > 0:
        piece = min(n_samples, _SILENCE_SAMPLES)
        yield np.zeros((n_channels, piece), np.float32)
        n_samples -= piece
