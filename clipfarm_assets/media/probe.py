"""What one media file is.

In: a local path. Out: ``MediaInfo``. What can go wrong: ``UnsupportedMedia`` where not one picture decodes, with
ffmpeg's reason; ``MissingRawObject`` where there is no file. One picture is decoded, and packet headers are read: a
thousand of them, or all where the container does not say how long it is.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.media.opening import Media, decoded, only, open_media, packets_of, reason, seconds, video_of
from clipfarm_assets.media.orientation import turn_of

SURVEYED_PACKETS = 1000


@dataclass(frozen=True)
class MediaInfo:
    """One file's video and sound.

    Attributes:
        container: ffmpeg's name of the format, such as ``mov,mp4,m4a,3gp,3g2,mj2``.
        duration_sec: None where neither the container nor its packets say.
        width, height: stored pixels as displayed, after the turn.
        rotation: clockwise degrees of that turn: 0, 90, 180 or 270.
        frame_rate: average frames a second; None where unknown.
        variable_frame_rate: by the first thousand timestamps; None where they do not tell.
        n_frames: as the container says; None where it does not.
    """

    container: str
    duration_sec: float | None
    width: int
    height: int
    rotation: int
    frame_rate: float | None
    variable_frame_rate: bool | None
    video_codec: str
    pixel_format: str
    n_frames: int | None
    has_audio: bool
    audio_codec: str | None
    audio_sample_rate: int | None
    has_subtitles: bool


def probe(path: Path | str) -> MediaInfo:
    """Read the file's headers and one picture.

    Raises:
        UnsupportedMedia: no picture of it decodes.
        MissingRawObject: there is no such file.
    """
    frame = _first_frame(path)
    turn = turn_of(frame)
    width, height = (frame.height, frame.width) if turn.transpose else (frame.width, frame.height)
    with open_media(path) as media:
        stream = video_of(media)
        duration = _declared_duration(media)
        times = _timestamps(media, None if duration is None else SURVEYED_PACKETS)
        if duration is None and len(times) > 1:
            duration = float(times[-1] - times[0] + np.median(np.diff(times)))
        return MediaInfo(
            container=media.container.format.name,
            duration_sec=duration,
            width=width,
            height=height,
            rotation=turn.degrees,
            frame_rate=float(stream.average_rate) if stream.average_rate else None,
            variable_frame_rate=_varies(times[:SURVEYED_PACKETS], float(stream.time_base or 0)),
            video_codec=stream.codec_context.codec.canonical_name,
            pixel_format=frame.format.name,
            n_frames=stream.frames or None,
            has_audio=media.audio is not None,
            audio_codec=media.audio.codec_context.codec.canonical_name if media.audio else None,
            audio_sample_rate=(media.audio.codec_context.sample_rate or None) if media.audio else None,
            has_subtitles=bool(media.container.streams.subtitles),
        )


def _first_frame(path: Path | str) -> av.VideoFrame:
    errors: list[av.FFmpegError] = []
    with open_media(path) as media:
        stream = video_of(media)
        only(media.container, stream)
        for frame in decoded(media.container, stream, errors.append):
            picture: av.VideoFrame = frame
            return picture
    why = reason(errors[0]) if errors else "it holds no frame"
    raise UnsupportedMedia(f"No picture of the video can be decoded: {why}.")


def _declared_duration(media: Media) -> float | None:
    if media.container.duration is not None and media.container.duration > 0:
        return float(media.container.duration / av.time_base)
    stream = video_of(media)
    return seconds(stream, stream.duration) if stream.duration and stream.duration > 0 else None


def _timestamps(media: Media, limit: int | None) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    stream: VideoStream = video_of(media)
    only(media.container, stream)
    found: list[float] = []
    try:
        for packet in islice(packets_of(media.container, stream), limit):
            if packet.pts is not None and not packet.is_discard:
                found.append(seconds(stream, packet.pts))
    except av.FFmpegError:
        pass  # a damaged tail: what came before it still tells
    return np.sort(np.array(found, dtype=np.float64))


def _varies(times: np.ndarray[tuple[int], np.dtype[np.float64]], tick_sec: float) -> bool | None:
    """Steps differ by more than a rounding of the time base; the last ones may be incomplete by reordering."""
    steps = np.diff(times[: max(len(times) - 16, 8)])
    if len(steps) < 2:
        return None
    return bool(np.ptp(steps) > max(2.5 * tick_sec, 0.1 * float(np.median(steps))))
