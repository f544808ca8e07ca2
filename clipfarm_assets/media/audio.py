"""The sound of a video as mono samples.

In: a local path. Out: float32 samples in memory, or a WAV file written piece by piece. What can go wrong:
``NoAudioTrack`` (no sound in the file), ``UnsupportedMedia`` (a sound track of which nothing decodes),
``MissingRawObject`` (no such file).

Sample 0 is time 0 of the video: sound that starts later is preceded by silence, and a hole in the sound is filled with
silence, so that a transcript's times fit the picture. A damaged track keeps what decodes; ``AudioInfo`` says what was
lost. Mixing and resampling are ffmpeg's (libswresample, as ``ffmpeg -ac 1 -ar 16000 out.wav``); both functions give the
same samples.
"""

import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from clipfarm_assets.errors import NoAudioTrack, UnsupportedMedia
from clipfarm_assets.media.opening import Media, decoded, only, open_media, reason

SAMPLE_RATE = 16_000

# Timestamps of sound jitter by a codec's frame; a longer jump is a hole.
_HOLE_SEC = 0.1
# The gains of a mix sum to 1, as ffmpeg's do when it writes integers; its float output is up to 3 dB louder and clips.
_MIX = {"rematrix_maxval": "1.0"}
# Where the container does not say how long it is, no jump beyond this is believed.
_LONGEST_HOLE_SEC = 60.0
_SILENCE_SAMPLES = 1 << 20


@dataclass(frozen=True)
class AudioInfo:
    """What was written.

    Attributes:
        n_samples, sample_rate, duration_sec: of the result, silence included.
        start_silence_sec: silence before the first sound.
        decode_errors: packets that did not decode.
        lost_sec: silence in place of sound that did not decode, and what is missing at the end of a damaged track.
    """

    n_samples: int
    sample_rate: int
    duration_sec: float
    start_silence_sec: float
    decode_errors: int
    lost_sec: float


def decode_audio(path: Path | str, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """All of the sound: float32 (n_samples,), mono, in [-1, 1].

    Raises:
        NoAudioTrack: the file has no sound.
        UnsupportedMedia: it has a track, of which nothing decodes.
    """
    return np.concatenate(list(_Decoding(path, sample_rate).pieces()))


def write_wav(path_in: Path | str, path_out: Path, sample_rate: int = SAMPLE_RATE) -> AudioInfo:
    """The sound as a mono, 16-bit PCM WAV file, whole or not at all; memory stays flat.

    Raises:
        NoAudioTrack: the file has no sound.
        UnsupportedMedia: it has a track, of which nothing decodes.
    """
    decoding = _Decoding(path_in, sample_rate)
    partial = path_out.with_name(path_out.name + ".partial")
    try:
        with wave.open(str(partial), "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(sample_rate)
            for piece in decoding.pieces():
                wav.writeframes(_as_s16(piece).tobytes())
        partial.replace(path_out)
    finally:
        partial.unlink(missing_ok=True)
    return decoding.info()


@dataclass
class _Decoding:
    """One pass over a file's sound, and what it met."""

    path: Path | str
    rate: int
    n_samples: int = 0
    start_silence: int = 0
    lost: int = 0
    errors: list[av.FFmpegError] = field(default_factory=list)

    def info(self) -> AudioInfo:
        return AudioInfo(
            n_samples=self.n_samples,
            sample_rate=self.rate,
            duration_sec=self.n_samples / self.rate,
            start_silence_sec=self.start_silence / self.rate,
            decode_errors=len(self.errors),
            lost_sec=self.lost / self.rate,
        )

    def pieces(self) -> Iterator[NDArray[np.float32]]:
        """The samples in order: float32, in [-1, 1]."""
        heard = False
        with open_media(self.path) as media:
            stream = media.audio
            if stream is None:
                if media.container.streams.audio:
                    raise UnsupportedMedia("No decoder knows the codec of the sound.")
                raise NoAudioTrack("The video has no audio stream.")
            only(media.container, stream)
            resampler: AudioResampler | None = None
            setup: tuple[object, ...] = ()
            pending = 0.0  # where the next sound is due, in output samples
            for frame in decoded(media.container, stream, self.errors.append):
                hole = self._hole(media, frame, pending, heard)
                own = (frame.format.name, frame.layout.name, frame.sample_rate)
                if resampler is not None and (hole or own != setup):
                    yield from self._resampled(resampler, None)
                    resampler = None
                if hole:
                    yield from self._silence(hole, heard)
                if resampler is None:
                    resampler = AudioResampler(format="flt", layout="mono", rate=self.rate, options=_MIX)
                    setup, pending = own, float(self.n_samples)
                frame.pts = None  # holes are filled here, not by the resampler
                try:
                    yield from self._resampled(resampler, frame)
                except av.FFmpegError as error:  # a damaged header claims a rate or a layout that cannot be
                    self.errors.append(error)
                    resampler = None
                    continue
                heard = True
                pending += frame.samples * self.rate / frame.sample_rate
                self._check_length(media)
            if resampler is not None:
                yield from self._resampled(resampler, None)
            if heard and self.errors:
                self._count_tail(media)
        if not heard and self.errors:
            raise UnsupportedMedia(f"Nothing of the sound can be decoded: {reason(self.errors[0])}.")
        if not heard:
            raise NoAudioTrack("The audio stream of the video is empty.")

    def _hole(self, media: Media, frame: AudioFrame, position: float, heard: bool) -> int:
        """Samples of silence that belong before the frame."""
        if frame.time is None:
            return 0
        gap_sec = frame.time - media.origin_sec - position / self.rate
        longest = _LONGEST_HOLE_SEC
        if media.container.duration:
            longest = min(media.container.duration / av.time_base, media.limits.max_video_sec)
        if gap_sec <= (_HOLE_SEC if heard else 0) or gap_sec > longest:
            return 0
        return round(gap_sec * self.rate)

    def _silence(self, length: int, heard: bool) -> Iterator[NDArray[np.float32]]:
        if heard:
            self.lost += length
        else:
            self.start_silence += length
        self.n_samples += length
        while length > 0:
            piece = min(length, _SILENCE_SAMPLES)
            yield np.zeros(piece, dtype=np.float32)
            length -= piece

    def _check_length(self, media: Media) -> None:
        lasts = self.n_samples / self.rate
        if lasts > media.limits.max_video_sec:
            media.limits.check("max_video_sec", lasts, f"The sound lasts {lasts:,.0f} seconds or more")

    def _resampled(self, resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        for out in resampler.resample(frame):
            piece: NDArray[np.float32] = out.to_ndarray().reshape(-1).astype(np.float32, copy=False).clip(-1.0, 1.0)
            self.n_samples += len(piece)
            yield piece

    def _count_tail(self, media: Media) -> None:
        """Sound that the container declares and that did not come."""
        stream = media.audio
        if stream is not None and stream.duration and stream.time_base:
            start_sec = float((stream.start_time or 0) * stream.time_base) - media.origin_sec
            missing_sec = start_sec + float(stream.duration * stream.time_base) - self.n_samples / self.rate
            self.lost += max(round(missing_sec * self.rate), 0)


def _as_s16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    whole: NDArray[np.int16] = np.rint(samples * 32768.0).clip(-32768, 32767).astype("<i2")
    return whole
