"""Memory over a long list: all processes of the video embedding after 200 videos, and after the first 40.

Short real clips, the small stand-in model, the real stage. Resident memory of this process, the foreman and the
workers, each less the pages of files, so that what they share counts several times and what leaks counts once. A list
five times as long must not need more.
"""

import tempfile
from pathlib import Path

import psutil

from benchmarks.measure import Row
from benchmarks.video_stage import item, make_clip
from clipfarm_assets.embeddings.video import embed_videos
from clipfarm_assets.models.catalog import resolve_models
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets.store.object_store import open_store

VIDEOS = 200
FIRST = 40
_MIB = 1024**2


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(_env_file=None, model_dir=folder / "models", device="cpu", profile="stand-in")
        store = open_store((folder / "store").as_uri())
        clip = make_clip(folder / "clip.mp4", seconds=2, size=(640, 360))
        items = [item(store, clip, number) for number in range(VIDEOS)]
        ref = resolve_models(settings, None).video
        used: list[float] = []
        for _, made in embed_videos(items, ref=ref, settings=settings, store=store):
            assert isinstance(made, Made)
            used.append(_used_mib())
    # a median of ten, since one reading falls somewhere between two forward passes
    early, late = sorted(used[FIRST - 10 : FIRST])[5], sorted(used[-12:-2])[5]
    peak = max(used[FIRST:]) / max(used[:FIRST])
    note = f"{settings.workers} workers; {early:.0f} MiB, then {late:.0f} MiB; the highest reading {max(used):.0f} MiB"
    return [
        Row(f"memory after {VIDEOS} videos ÷ after {FIRST}", late / early, 1.1, "at most", note),
        Row(f"highest memory after the first {FIRST} ÷ within them", peak, 1.1, "at most"),
    ]


def _used_mib() -> float:
    here = psutil.Process()
    return sum(_resident(process) for process in (here, *here.children(recursive=True))) / _MIB


def _resident(process: psutil.Process) -> int:
    try:
        memory = process.memory_info()
    except psutil.NoSuchProcess:
        return 0
    return memory.rss - getattr(memory, "shared", 0)
