"""Scenes: the spans of a video between its cuts, each with its movement, its loudness and a picture.

In: a local video, and its sound as a WAV. Out: ``Scene``s that cover the video without gap or overlap. What can go
wrong: ``UnsupportedMedia`` where nothing decodes.

Cuts are PySceneDetect's (``ContentDetector``: https://www.scenedetect.com/docs/latest/api/detectors.html), on every
frame, small. The pictures come from the same pass, so a video is decoded once for all of it. A video without a cut is
one scene.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image as Pictures

from clipfarm_assets.attempts import made_of_each, raw_file
from clipfarm_assets.media.frames import decode_sequentially
from clipfarm_assets.media.orientation import Image, turn_of, turned
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.workers.messages import Limits

# 27 finds every cut of the sample videos and no other; 20 and the adaptive detector take flashes for cuts.
CONTENT_THRESHOLD = 27.0
SHORTEST_SCENE_SEC = 0.5
_LONG_SIDE = 256
_MOST_PICTURES = 64
_TICKS = Fraction(1, 1_000_000)

SCENES_SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("scene_index", pa.int32()),
        ("start_sec", pa.float64()),
        ("end_sec", pa.float64()),
        ("score_energy", pa.float64()),
        ("score_change", pa.float64()),
        ("thumbnail", pa.binary()),
    ]
)


@dataclass(frozen=True)
class Scene:
    """A span between two cuts.

    Attributes:
        start_sec, end_sec: from its first frame to the first of the next scene; the last ends with the video.
        score_change: mean change of the picture from frame to frame, 0 to 255, as ``ContentDetector`` measures it.
        score_energy: root mean square of the sound, 0 to 1; None where the video has none.
        thumbnail: its middle frame, upright, as JPEG, 256 pixels on the long side.
    """

    index: int
    start_sec: float
    end_sec: float
    score_change: float
    score_energy: float | None
    thumbnail: bytes


def detect_scenes(video: Path, sound: Path | None) -> list[Scene]:
    """The scenes of a video in the order of time.

    Args:
        sound: mono WAV whose time 0 is the video's; None where the video has no sound.

    Raises:
        UnsupportedMedia: no picture decodes.
    """
    shots = list(_shots(video))
    ends = [shot.start_sec for shot in shots[1:]] + [shots[-1].last_sec]
    energies = _energies(sound, [(shot.start_sec, end) for shot, end in zip(shots, ends, strict=True)])
    return [
        Scene(number, shot.start_sec, end, shot.mean_change, energy, shot.pictures.nearest((shot.start_sec + end) / 2))
        for number, (shot, end, energy) in enumerate(zip(shots, ends, energies, strict=True))
    ]


def scenes_of_videos(items: Iterable[Item], store: ObjectStore, limits: Limits) -> Iterator[Result]:
    """The scenes of each item's ``raw_video``, with the loudness of its ``raw_audio``, as Parquet."""
    return made_of_each(items, partial(_scenes_of_video, store), limits)


def scenes_to_parquet(video_id: str, scenes: Sequence[Scene]) -> bytes:
    """The scenes of one video; columns are ``SCENES_SCHEMA``."""
    rows = [{"video_id": video_id, "scene_index": scene.index, **asdict(scene)} for scene in scenes]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCENES_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def scene_spans(content: bytes) -> list[tuple[float, float]]:
    """Start and end, in seconds, of each scene of a video's Parquet, in the order of time.

    Raises:
        ValueError: it is no such file.
    """
    try:
        table = pq.read_table(pa.BufferReader(content), columns=["start_sec", "end_sec"])
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"The scenes cannot be read: {error}") from None
    return list(zip(table["start_sec"].to_pylist(), table["end_sec"].to_pylist(), strict=True))


def _scenes_of_video(store: ObjectStore, item: Item) -> Made:
    sound = item.inputs["raw_audio"].key if "raw_audio" in item.inputs else None  # none: a video without sound
    with raw_file(item, "raw_video", store) as video:
        if sound is None:
            scenes = detect_scenes(video, None)
        else:
            with raw_file(item, "raw_audio", store) as wav:
                scenes = detect_scenes(video, wav)
    content = scenes_to_parquet(item.video.video_id, scenes)
    middle = scenes[len(scenes) // 2].thumbnail
    return Made(content, details={"scenes": len(scenes), "end_sec": round(scenes[-1].end_sec, 3)}, picture=middle)


@dataclass
class _Pictures:
    """Some small frames of a shot whose end nobody knows yet: evenly spread, never more than twice as far apart."""

    every: int = 1
    seen: int = 0
    kept: list[tuple[float, Image]] = field(default_factory=list)

    def add(self, time_sec: float, image: Image) -> None:
        if self.seen % self.every == 0:
            self.kept.append((time_sec, image))
        self.seen += 1
        if len(self.kept) == _MOST_PICTURES:
            self.kept, self.every = self.kept[::2], self.every * 2

    def nearest(self, time_sec: float) -> bytes:
        _, image = min(self.kept, key=lambda pair: abs(pair[0] - time_sec))
        out = io.BytesIO()
        Pictures.fromarray(image).save(out, "JPEG", quality=85)
        return out.getvalue()


@dataclass
class _Shot:
    start_sec: float
    last_sec: float = 0.0
    change: float = 0.0
    frames: int = 0
    pictures: _Pictures = field(default_factory=_Pictures)

    @property
    def mean_change(self) -> float:
        return self.change / max(self.frames, 1)

    def add(self, time_sec: float, end_sec: float, change: float, image: Image) -> None:
        self.last_sec = end_sec
        self.change += change
        self.frames += 1
        self.pictures.add(time_sec, image)


def _shots(video: Path) -> Iterator[_Shot]:
    from scenedetect import ContentDetector, FrameTimecode
    from scenedetect.common import Timecode
    from scenedetect.detector import FlashFilter

    # SUPPRESS tells a cut at its own frame; MERGE would tell one that lies behind, after a flash has ended.
    detector = ContentDetector(
        CONTENT_THRESHOLD, min_scene_len=SHORTEST_SCENE_SEC, filter_mode=FlashFilter.Mode.SUPPRESS
    )
    scaler = VideoReformatter()  # one for all frames: making it costs as much as scaling one
    shot: _Shot | None = None
    before_sec, step_sec = 0.0, 0.04
    for number, time_sec, frame in decode_sequentially(video):
        if number:
            step_sec = time_sec - before_sec or step_sec
        before_sec = time_sec
        image = _small(frame, scaler)
        now = FrameTimecode(Timecode(round(time_sec / _TICKS), _TICKS), fps=Fraction(25))
        cuts = detector.process_frame(now, image[:, :, ::-1])
        # Its public figures come with edges that nobody weighs, for more than half as much again.
        change = float(detector._frame_score or 0.0) if number else 0.0
        if shot is not None and cuts:
            yield shot
            shot = None
        if shot is None:
            shot, change = _Shot(time_sec), 0.0  # the jump at a cut is no movement of the scene
        shot.add(time_sec, time_sec + step_sec, change, turned(image, turn_of(frame)))
    if shot is not None:
        yield shot


def _small(frame: av.VideoFrame, scaler: VideoReformatter) -> Image:
    scale = min(1.0, _LONG_SIDE / max(frame.width, frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    small = scaler.reformat(frame, width, height, format="rgb24", interpolation="AREA")
    image: Image = small.to_ndarray()  # type: ignore[assignment]
    return image


def _energies(sound: Path | None, spans: Sequence[tuple[float, float]]) -> list[float | None]:
    if sound is None:
        return [None] * len(spans)
    import soundfile

    def energy(file: Any, start_sec: float, end_sec: float) -> float:
        first, last = (min(round(max(t, 0.0) * file.samplerate), file.frames) for t in (start_sec, end_sec))
        file.seek(first)
        total = 0.0
        for block in file.blocks(blocksize=file.samplerate * 10, frames=last - first, dtype="float32"):
            samples: NDArray[np.float32] = block
            total += float(np.square(samples, dtype=np.float64).sum())
        return float(np.sqrt(total / max(last - first, 1)))

    with soundfile.SoundFile(sound) as file:
        return [energy(file, start, end) for start, end in spans]
