"""The graph with doubles for decoding and models, so that what is left is the platform's own cost.

Every stage gives a small artifact of its real shape at once: a file for MP4 and WAV, bytes for the rest, with as many
details, and a picture where the real stage has one. All else is real: Dagster on SQLite, events, identities, store.
A deployment is a folder of its own; Dagster's own programs load ``defs`` of this module in it.
"""

import csv
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

import dagster as dg

from clipfarm_assets import definitions
from clipfarm_assets.graph import clips, discovery, embeddings, raw, segments
from clipfarm_assets.graph.chunk import run_chunk
from clipfarm_assets.graph.platform import Chunk, Workshop
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.outcomes import Item, MakeMany, Result
from clipfarm_assets.settings import load_settings
from clipfarm_assets.store.artifacts import Made

_PROJECT = Path(__file__).parents[1]
_FILE_BYTES = 3_000
_PICTURE = b"\xff\xd8" + bytes(4_000)  # about what a thumbnail of 160 pixels is
_PROBED = {
    "duration_sec": 12.5, "width": 640, "height": 360, "fps": 25.0, "frames": 312, "video_codec": "h264",
    "audio_codec": "aac", "rotation": 0, "has_audio": True, "stored": "kept", "captions": False,
}  # fmt: skip


def environment(folder: Path, n_videos: int) -> dict[str, str]:
    """Makes a deployment with a row and a media file a video; returns what makes a process belong to it."""
    media = folder / "media"
    media.mkdir(parents=True)
    shutil.copy(_PROJECT / "dagster.yaml", folder)
    (folder / "workspace.yaml").write_text("load_from:\n  - python_module: benchmarks.instant\n")
    (media / "video.mp4").write_bytes(bytes(_FILE_BYTES))
    with (media / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "url", "title", "description", "query", "captured_at", "view_count", "language"])
        for number in range(n_videos):
            writer.writerow(
                [f"v{number:06}", "video.mp4", f"Title {number}", "d" * 300, "q", "2026-01-01", number, "en"]
            )
    storage = folder / "dagster"
    storage.mkdir()
    return {
        "DAGSTER_HOME": str(folder),
        "CLIPFARM_DAGSTER_STORAGE": str(storage),
        "CLIPFARM_METADATA": str(media / "metadata.csv"),
        "CLIPFARM_STORE": (folder / "store").as_uri(),
        "CLIPFARM_PROFILE": "stand-in",
        "CLIPFARM_MODEL_DIR": str(folder / "models"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([str(_PROJECT), os.environ.get("PYTHONPATH", "")]),
    }


def instantly(stage: Stage) -> MakeMany:
    """The double of one stage's function."""
    source = Path(os.environ["CLIPFARM_METADATA"]).with_name("video.mp4")
    vector = bytes(3_200)

    def make(item: Item) -> Made:
        match stage.name:
            case "raw_video":
                return Made(source, details=dict(_PROBED), picture=_PICTURE)
            case "raw_audio":
                return Made(source, details={"duration_sec": 12.5, "sample_rate": 16_000, "samples": 200_000})
            case "raw_text":
                return Made(b'{"transcript": "hello"}', details={"cues": 3, "characters": 80, "source": "sidecar"})
            case _:
                return Made(item.video.video_id.encode() + vector, details={"embedding_dim": 768})

    def make_many(items: Iterable[Item]) -> Iterator[Result]:
        return ((item, make(item)) for item in items)

    return make_many


def run_instantly(
    context: dg.AssetExecutionContext, stage: Stage, workshop: Workshop, chunk: Chunk, make: MakeMany
) -> None:
    """``run_chunk`` with the double in the place of ``make``."""
    run_chunk(context, stage, workshop, chunk, instantly(stage))


def definitions_with_doubles() -> dg.Definitions:
    """The graph of this process's deployment, with the doubles in it for as long as the process lives; no sensors."""
    for module in (raw, embeddings, segments, clips, discovery):
        patch.object(module, "run_chunk", run_instantly).start()
    with patch.object(definitions, "SENSORS", ()):
        return definitions.build(load_settings())


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster's own programs load."""
    return definitions_with_doubles()
