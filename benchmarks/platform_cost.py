"""CPU that the platform itself takes for a video and stage, on SQLite and a local store.

All stages of many videos, as ``clipfarm run`` does it in chunks of the default size, with doubles in place of decoding
and models (see ``instant``): the metadata, the partitions, the runs, the judging, identities, artifacts and events.
Neither the fan-in nor the clustering of teams is in it. A quarter of the videos in a deployment of its own shows
whether a video costs more where there are more. ``CLIPFARM_BENCHMARK_VIDEOS`` sets the number, 2,000 where it is not
set.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import instant
from benchmarks.measure import Row, in_turn
from clipfarm_assets.graph.stages import STAGES

_RUN = """
import dagster as dg
from benchmarks.instant import definitions_with_doubles
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.run import Runner
from clipfarm_assets.settings import load_settings

with dg.DagsterInstance.get() as instance:
    runner = Runner(definitions_with_doubles(), instance, Workshop(load_settings()), lambda text: None)
    runner._is_stale, runner._cluster, runner._make_clips = lambda: False, lambda: None, lambda: None
    verdicts = runner.run().verdicts
assert runner.report.failed == 0, runner.report
assert all(verdict.finished for of_video in verdicts.values() for verdict in of_video.values())
print(len(verdicts))
"""
_NOTHING = "import benchmarks.instant, clipfarm_assets.graph.run, clipfarm_assets.graph.platform"


def run() -> list[Row]:
    n_videos = int(os.environ.get("CLIPFARM_BENCHMARK_VIDEOS", "2000"))
    n_few = n_videos // 4
    ways = {"imports": lambda: _process(_NOTHING, {}), "few": lambda: _handle(n_few), "many": lambda: _handle(n_videos)}
    cpu = {name: timing.cpu_sec for name, timing in in_turn(ways, rounds=1).items()}
    few, many = ((cpu[name] - cpu["imports"]) * 1000 / len(STAGES) for name in ("few", "many"))
    return [
        Row(f"platform CPU a video and stage at {n_videos:,} videos, ms", many / n_videos, 5.0),
        Row(f"the same at {n_few:,} videos, ms", few / n_few, 5.0),
        Row(f"a video at {n_videos:,} ÷ a video at {n_few:,}", (many / n_videos) / (few / n_few), 1.25),
    ]


def _handle(n_videos: int) -> None:
    with tempfile.TemporaryDirectory(prefix="clipfarm-") as folder:
        home = Path(folder) / "home"
        printed = _process(_RUN, instant.environment(home, n_videos), home)
        assert printed.split()[-1] == str(n_videos), printed


def _process(code: str, env: dict[str, str], folder: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout
