"""Write a timeline as H.264 and AAC in mp4, the index in front.

One encoder thread, fixed seeds and no dates: the same machine and library versions write the same bytes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from clipfarm_assets.samples.paint import PAINTERS
from clipfarm_assets.samples.paint.canvas import Canvas
from clipfarm_assets.samples.paint.moment import Moment
from clipfarm_assets.samples.speech import RATE, loudness
from clipfarm_assets.samples.timeline import Timeline


def pictures(timeline: Timeline) -> Iterator[tuple[int, Image.Image]]:
    """The shown frames with their position on the grid, as the viewer sees them."""
    sample = timeline.sample
    canvas = Canvas(sample.size)
    shown = set(timeline.frames)
    for placed in timeline.shots:
        start, length = float(placed.start / sample.fps), float((placed.end - placed.start) / sample.fps)
        image = canvas.image()
        for frame in range(placed.start, placed.end):
            if (frame - placed.start) % sample.redraw_every == 0 and (sample.redraw_every > 1 or frame in shown):
                t = float((frame - placed.start) / sample.fps)
                moment = Moment(t, length, loudness(timeline.voice, start + t), _speaker(timeline, start + t))
                PAINTERS[placed.shot.kind](canvas, placed.shot.look, moment)
                image = canvas.image()
            if frame in shown:
                yield frame, image


def _speaker(timeline: Timeline, at: float) -> str:
    return next((line.line.speaker for line in timeline.lines if line.start <= at <= line.end), "")


def write_video(timeline: Timeline, path: Path) -> None:
    """Encode the timeline; the file appears whole under its name, or not at all."""
    sample = timeline.sample
    part = path.with_name(f".{path.name}.part")
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    try:
        with av.open(str(part), "w", format="mp4", options=options) as container:
            video = _video_stream(container, timeline)
            sound = _sound_stream(container, timeline)
            waiting = list(_sound_frames(timeline))
            for frame, image in pictures(timeline):
                turned = image.rotate(-sample.rotation, expand=True) if sample.rotation else image
                picture = av.VideoFrame.from_ndarray(np.asarray(turned), format="rgb24").reformat(format="yuv420p")
                picture.pts, picture.time_base = frame, 1 / sample.fps
                container.mux(video.encode(picture))
                due = bisect_right(waiting, float(frame / sample.fps), key=itemgetter(0))
                _encode_sound(container, sound, waiting[:due])
                del waiting[:due]
            container.mux(video.encode())
            _encode_sound(container, sound, waiting)
            if sound is not None:
                container.mux(sound.encode())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _video_stream(container: Any, timeline: Timeline) -> Any:
    sample = timeline.sample
    stream = container.add_stream("libx264", rate=sample.fps, options={"preset": "slow", "crf": str(sample.crf)})
    stream.width, stream.height = sample.size if sample.rotation % 180 == 0 else sample.size[::-1]
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = 1 / sample.fps
    stream.codec_context.thread_count = 1
    stream.codec_context.gop_size = 250
    # Keeps the library's name and version out of the file.
    stream.codec_context.flags |= av.codec.context.Flags.bitexact
    if sample.rotation:
        stream.set_display_rotation(sample.rotation)
    return stream


def _sound_stream(container: Any, timeline: Timeline) -> Any | None:
    if timeline.sound is None:
        return None
    stream = container.add_stream("aac", rate=RATE, layout="mono")
    stream.bit_rate = timeline.sample.audio_bit_rate
    stream.codec_context.flags |= av.codec.context.Flags.bitexact
    return stream


def _encode_sound(container: Any, stream: Any | None, frames: Iterable[tuple[float, av.AudioFrame]]) -> None:
    for _, frame in frames:
        if stream is not None:
            container.mux(stream.encode(frame))


def _sound_frames(timeline: Timeline) -> Iterator[tuple[float, av.AudioFrame]]:
    """The sound in frames as the encoder takes them, each with the second where it begins."""
    sound = timeline.sound if timeline.sound is not None else np.zeros(0, dtype=np.float32)
    for first in range(0, len(sound), 1024):
        chunk = np.clip(sound[first : first + 1024], -1, 1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(chunk), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
        yield first / RATE, frame


def write_broken(path: Path) -> None:
    """An upload that broke off: an mp4 header, then media data, and no index to read them by."""
    header = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
    media = np.random.default_rng(99).integers(0, 256, 24_000, dtype=np.uint8).tobytes()
    path.write_bytes(header + (1_200_008).to_bytes(4, "big") + b"mdat" + media)
