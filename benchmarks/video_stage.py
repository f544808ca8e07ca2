"""Video embeddings, whole: as the obvious loop makes them, as we do, and the model alone.

The model is VideoMAE-base's architecture with random weights, the video 15 seconds of 1080p H.264 in a local store.

- the loop: decode every frame to RGB, choose 16, processor, forward, with torch's and the decoder's own threads;
- our stage: ``embed_videos`` from the store to the vectors, one worker a core;
- the model alone, as transformers gives it: its forward pass on pixels that are there already, one process a core, one
  thread each, which is the fastest way to use it on a CPU;
- the same with our own kernels;
- the bare parts: ffmpeg decoding the frames that others refer to, the processor and our kernels, one process a core,
  without any of the graph around them: what no stage can beat;
- our stage with ``CLIPFARM_VIDEO_PRECISION=bfloat16``, where the processor has it, and how near its vector comes.

Models are in memory before the clock starts. Seconds are per video.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.measure import Row, Timing, in_turn
from clipfarm_assets.attempts import limits_of
from clipfarm_assets.embeddings.vectors import from_npy
from clipfarm_assets.embeddings.video import embed_videos, load_video_encoder
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.models.kernels import has_bfloat16
from clipfarm_assets.models.places import model_folder
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.outcomes import Item
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Identity, Made, Versions
from clipfarm_assets.store.object_store import ObjectStore, open_store
from clipfarm_assets.workers.pool import in_workers

SECONDS = 15
RATE = 30
VIDEOS_A_WORKER = 8
ROUNDS = 3
MODEL = ModelRef("video", "benchmark/videomae-base", "random", "none", "folder", {}, "transformers.VideoMAEModel")


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(_env_file=None, model_dir=folder / "models", device="cpu", profile="real")
        save_model(model_folder(MODEL.name, settings))
        store = open_store((folder / "store").as_uri())
        clip = make_clip(folder / "clip.mp4")
        items = [item(store, clip, number) for number in range(VIDEOS_A_WORKER * settings.workers)]
        model, processor = load(model_folder(MODEL.name, settings))

        def loop() -> np.ndarray:
            return naive(clip, model, processor)

        def stage(ref: ModelRef) -> Sequence[np.ndarray]:
            made = [made for _, made in embed_videos(items, ref=ref, settings=settings, store=store)]
            vectors = [
                from_npy(each.content) for each in made if isinstance(each, Made) and isinstance(each.content, bytes)
            ]
            assert len(vectors) == len(items)
            return vectors

        def alone(prepare: Callable[[Settings], Callable[[int], float]]) -> list[object]:
            return list(in_workers(range(len(items)), partial(prepare, settings), limits_of(settings)))

        ways: dict[str, Callable[[], object]] = {
            "loop": loop, "stage": partial(stage, MODEL), "ours": partial(alone, forward),
            "as given": partial(alone, forward_as_given), "parts": partial(alone, partial(bare_parts, clip)),
        }  # fmt: skip
        expected = loop()
        assert stage(MODEL)[0] @ expected > 0.99999
        cosine = 0.0
        if has_bfloat16():
            ways["bfloat16"] = partial(stage, replace(MODEL, precision="bfloat16"))
            cosine = float(stage(replace(MODEL, precision="bfloat16"))[0] @ expected)
        for way in ("ours", "as given", "parts"):
            ways[way]()
        times = in_turn(ways, rounds=ROUNDS)
    n = len(items)
    stage_time = a_video(times["stage"], n)

    def against_stage(what: str, one: Timing, target: float | None = None, stage: Timing = stage_time) -> Row:
        note = (
            f"{settings.workers} workers; wall seconds a video: {one.wall_sec:.2f} and {stage.wall_sec:.2f}; "
            f"CPU seconds: {one.cpu_sec:.2f} and {stage.cpu_sec:.2f}"
        )
        return Row(what, one.wall_sec / stage.wall_sec, target, "at least", note)

    rows = [
        against_stage("the obvious loop ÷ our whole stage", times["loop"], 2.4),
        against_stage("transformers' model alone ÷ our whole stage", a_video(times["as given"], n), 0.84),
        against_stage("our model alone ÷ our whole stage", a_video(times["ours"], n)),
        against_stage("bare decoding, processor and model ÷ our whole stage", a_video(times["parts"], n)),
    ]
    if "bfloat16" in times:
        what = "the obvious loop ÷ our whole stage in bfloat16"
        row = against_stage(what, times["loop"], stage=a_video(times["bfloat16"], n))
        rows.append(replace(row, note=f"{row.note}; cosine of its vector to float32's: {cosine:.5f}"))
    return rows


def a_video(timing: Timing, n_videos: int) -> Timing:
    return Timing(timing.wall_sec / n_videos, timing.cpu_sec / n_videos)


def naive(path: Path, model: Any, processor: Any) -> np.ndarray:
    """The vector by the shortest program."""
    import torch

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    chosen = [frames[index] for index in np.linspace(0, len(frames) - 1, 16).astype(int)]
    with torch.inference_mode():
        vector = model(**processor(chosen, return_tensors="pt")).last_hidden_state[0, 0].numpy()
    return vector / np.linalg.norm(vector)


def forward(settings: Settings) -> Callable[[int], float]:
    """The model on pixels, in a worker."""
    encoder = load_video_encoder(MODEL, settings, None)
    pixels = np.random.default_rng(0).standard_normal((1, 16, 3, 224, 224), np.float32)
    return lambda number: float(encoder.embed_pixels([pixels])[0][0])


def bare_parts(clip: Path, settings: Settings) -> Callable[[int], float]:
    """Decoding, processor and model with nothing around them, in a worker."""
    encoder = load_video_encoder(MODEL, settings, None)

    def one(_: int) -> float:
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count, stream.codec_context.skip_frame = 1, "NONREF"
            decoded = enumerate(container.decode(stream))
            chosen = [frame.to_ndarray(format="rgb24") for number, frame in decoded if number % 14 == 0]
        return float(encoder.embed(chosen[:16])[0])

    return one


def forward_as_given(settings: Settings) -> Callable[[int], float]:
    """The model on pixels, in a worker, as transformers loads it."""
    import torch

    model, _ = load(model_folder(MODEL.name, settings))
    pixels = torch.randn((1, 16, 3, 224, 224), generator=torch.Generator().manual_seed(0))

    def one(number: int) -> float:
        with torch.inference_mode():
            return float(model(pixels).last_hidden_state[0, 0, 0])

    return one


def save_model(folder: Path) -> None:
    """VideoMAE-base with random weights, as the hub would have it."""
    from transformers import VideoMAEConfig, VideoMAEImageProcessorPil, VideoMAEModel

    VideoMAEModel(VideoMAEConfig()).save_pretrained(folder)
    VideoMAEImageProcessorPil().save_pretrained(folder)


def load(folder: Path) -> tuple[Any, Any]:
    from transformers import VideoMAEImageProcessorPil, VideoMAEModel

    return VideoMAEModel.from_pretrained(folder).eval(), VideoMAEImageProcessorPil.from_pretrained(folder)


def make_clip(path: Path, seconds: float = SECONDS, size: tuple[int, int] = (1920, 1080)) -> Path:
    """A moving, textured picture with grain: some 2 Mbit/s of H.264, as platforms deliver it; key frames 250 apart.

    One slice a picture, as cameras and platforms write: PyAV's encoder would else make one a core, which a decoder
    with threads then decodes side by side.
    """
    width, height = size
    drawn = np.random.default_rng(1)
    texture = (
        drawn.normal(128, 40, (height // 8, width // 4, 3)).clip(0, 255).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    )
    grain = drawn.normal(0, 5, (height, width, 1)).astype(np.int16)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base, stream.codec_context.thread_type = Fraction(1, RATE), "FRAME"
        for number in range(round(seconds * RATE)):
            picture = texture[:, (3 * number) % width : (3 * number) % width + width]
            noisy = picture + np.roll(grain, 97 * number, (0, 1))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(noisy.clip(0, 255).astype(np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def item(store: ObjectStore, clip: Path, number: int) -> Item:
    """One video as the graph hands it to the stage."""
    key = f"clipfarm/raw/video/v{number:03}.mp4"
    store.put(key, clip)
    identity = Identity(
        stage="raw_video", video_id=f"v{number:03}", key=key, source_hash="s", versions=Versions("1"),
        status=Status.SUCCESS, data_version="d", sha256=None, size=None, etag=None, made_at="",
        details={"duration_sec": SECONDS},
    )  # fmt: skip
    return Item(Video(f"v{number:03}", url=str(clip)), {"raw_video": identity}, "s")
