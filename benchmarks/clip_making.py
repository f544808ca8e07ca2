"""How long clips of a talk take without a language model: scenes, ranked clips, thumbnails, beside one bare decoding.

The shipped talk of five minutes (H.264), once a worker, as the graph's stages make it: ``scene_segments`` and
``clip_thumbnails`` in the workers, ``scored_clips`` in one process with the packaged text model, the database SQLite.
The bare decoding is PyAV over every picture, a video a worker, which no way to find scenes can do without. Models are
in memory before the clock starts.
"""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import av
from sqlalchemy import update

from benchmarks.measure import Row, in_turn
from clipfarm_assets.clips.book import default_batch_id, list_batches, list_clips, reopen_batch
from clipfarm_assets.database.clip_tables import Clip
from clipfarm_assets.graph.clip_work import now, thumbnails_of_videos
from clipfarm_assets.graph.clips import score_videos
from clipfarm_assets.graph.metadata import parse
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.raw import RAW_AUDIO, RAW_TEXT, RAW_VIDEO
from clipfarm_assets.graph.segments import SCENE_SEGMENTS
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.media.audio import write_wav
from clipfarm_assets.media.scenes import scenes_of_videos
from clipfarm_assets.media.transcripts import parse_transcript, to_json
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Made, Versions
from clipfarm_assets.workers.pool import in_workers

TALK = Path(__file__).parents[1] / "data" / "samples" / "talk-checklists.mp4"
ROUNDS = 3


def run() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="clipfarm-") as name:
        folder = Path(name)
        settings = Settings(
            _env_file=None, metadata=str(folder / "rows.csv"), store=str(folder / "store"),
            db=f"sqlite:///{folder}/clips.db", device="cpu", llm_model=None,
        )  # fmt: skip
        shop = Workshop(settings)
        items = talks(shop, folder, settings.workers)
        stages: dict[str, Callable[[], object]] = {
            "scene_segments": lambda: made(scenes_of_videos(items, shop.store, shop.limits)),
            "scored_clips": lambda: made(again(shop, items)),
            "clip_thumbnails": lambda: made(pictured(shop, items)),
        }
        for stage in stages.values():
            stage()  # the models, the workers, and the clips that the last stage is about
        clips = sum(len(list_clips(shop.database, default_batch_id(item.video.video_id))) for item in items)
        decode: dict[str, Callable[[], object]] = {
            "decode": lambda: list(in_workers([TALK] * len(items), decoding, shop.limits))
        }
        took = in_turn(stages | decode, ROUNDS)
    minutes = len(items) * items[0].inputs[RAW_VIDEO.name].details["duration_sec"] / 60  # type: ignore[operator]
    wall = sum(took[name].wall_sec for name in stages)
    cpu = sum(took[name].cpu_sec for name in stages)
    return [
        Row("clips made a minute, without a language model", clips / wall * 60,
            note=f"{clips} clips of {minutes:.1f} minutes of video in {wall:.1f} s, {settings.workers} workers"),
        Row("clips made a minute of CPU", clips / cpu * 60),
        Row("minutes of video a minute", minutes / wall * 60),
        Row("the three stages ÷ one bare decoding, CPU", cpu / took["decode"].cpu_sec,
            note=f"{cpu:.1f} s of {took['decode'].cpu_sec:.1f} s"),
        *(Row(f"{name}, seconds of CPU a minute of video", took[name].cpu_sec / minutes,
              note=f"{took[name].wall_sec:.1f} s on the clock") for name in stages),
    ]  # fmt: skip


def talks(shop: Workshop, folder: Path, count: int) -> list[Item]:
    """Copies of the talk with what the stages before have left of it, scenes too."""
    names = [f"talk-{number}" for number in range(count)]
    (folder / "rows.csv").write_text(
        "\n".join(["video_id,url,title,language", *(f"{n},t.mp4,A talk,en" for n in names)])
    )
    shop.save_tables(parse(shop))
    write_wav(TALK, folder / "sound.wav")
    told = to_json(parse_transcript(TALK.with_suffix(".json").read_bytes(), "talk.json"))
    with av.open(str(TALK)) as container:
        duration_sec = float(container.duration or 0) / 1e6
    raw = {RAW_VIDEO: TALK.read_bytes(), RAW_AUDIO: (folder / "sound.wav").read_bytes(), RAW_TEXT: told}
    videos = shop.videos(names)
    items = []
    for name in names:
        item = Item(videos[name], {}, "")
        for stage, content in raw.items():
            item = kept(shop, item, stage, Made(content, Status.SUCCESS, {"duration_sec": duration_sec}))
        items.append(item)
    scenes = {item.video.video_id: result for item, result in made(scenes_of_videos(items, shop.store, shop.limits))}
    return [kept(shop, item, SCENE_SEGMENTS, scenes[item.video.video_id]) for item in items]


def kept(shop: Workshop, item: Item, stage: Stage, what: Made) -> Item:
    """The item with an artifact more."""
    name = item.video.video_id
    key = stage.key(name)
    identity = shop.artifacts.put(
        key, what, stage=stage.name, video_id=name, source_hash="", versions=Versions("1")
    )  # fmt: skip
    return replace(item, inputs={**item.inputs, stage.name: identity})


def made(results: Iterable[Result]) -> list[tuple[Item, Made]]:
    """All of them; what failed is an error here."""
    found = []
    for item, result in results:
        if not isinstance(result, Made):
            raise result
        found.append((item, result))
    return found


def again(shop: Workshop, items: list[Item]) -> Iterable[Result]:
    """The default clips, from the start."""
    for item in items:
        if list_batches(shop.database, item.video.video_id):
            reopen_batch(shop.database, default_batch_id(item.video.video_id), now())
    return score_videos(items, shop, "benchmark")


def pictured(shop: Workshop, items: list[Item]) -> Iterable[Result]:
    """Every thumbnail, from the start."""
    with shop.database.write() as session:
        session.execute(update(Clip).values(thumbnail_path=None))
    return thumbnails_of_videos(items, shop)


def decoding() -> Callable[[Path], int]:
    """What a worker does."""
    return decoded


def decoded(path: Path) -> int:
    """How many pictures a video has, by one thread."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        container.streams.video[0].codec_context.thread_type = "SLICE"
        return sum(1 for _ in container.decode(video=0))
