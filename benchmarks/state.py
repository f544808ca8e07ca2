"""What it costs to know where everything stands: ticks of the sensors, a cold start, and the ledger.

An instance of ``CLIPFARM_BENCHMARK_VIDEOS`` videos (100,000 by default) in seven stages, on SQLite with a local store,
is built once and kept in the temp folder: the metadata by the product's own parser, the events of the first videos by
its own grouped writer, all others as copies of those with their own ids and hashes. Each video was said to be in work
in each stage and then came out of it; one of a hundred failed. Figures are CPU seconds, which other work on the machine
disturbs less; all of it is one thread, so that they are the clock's on a machine that is idle.
"""

import csv
import json
import os
import re
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import dagster as dg
import pyarrow as pa
from dagster_aws.s3 import S3Resource

from benchmarks.measure import Row, Timing, in_turn
from clipfarm_assets.definitions import build
from clipfarm_assets.graph import sensors
from clipfarm_assets.graph.events import EventGroup
from clipfarm_assets.graph.ledger import read_ledger, to_csv, to_parquet
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.graph.presentation import outcome_metadata
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.metadata.tables import videos_from_table
from clipfarm_assets.settings import load_settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import content_sha256

N = int(os.environ.get("CLIPFARM_BENCHMARK_VIDEOS", "100000"))
SEVEN = STAGES[:7]  # so that figures of all versions are of equally many
_PROJECT = Path(__file__).parents[1]
_RUN_OF = 500  # booked through the product's writer; the rest are copies with other ids and hashes
_COLUMNS = ("video_id", "url", "title", "description", "query", "captured_at", "view_count", "language", "team")


def _row(number: int) -> dict[str, object]:
    name = f"v{number:07}"
    return dict(
        zip(
            _COLUMNS,
            (
                name, f"{name}.mp4", f"Title {number}", "Some words that describe it. " * 4, "tests",
                "2026-01-01T00:00:00Z", number, "en", "default",
            ),
            strict=True,
        )
    )  # fmt: skip


@contextmanager
def _entered(folder: Path) -> Iterator[dg.DagsterInstance]:
    """The deployment in ``folder``, with the environment that makes it this process's."""
    env = {
        "DAGSTER_HOME": str(folder / "home"),
        "CLIPFARM_DAGSTER_STORAGE": str(folder / "home" / "storage"),
        "CLIPFARM_METADATA": str(folder / "data" / "metadata.csv"),
        "CLIPFARM_STORE": (folder / "store").as_uri(),
        "CLIPFARM_PROFILE": "stand-in",
        "CLIPFARM_MODEL_DIR": str(folder / "models"),
        "CLIPFARM_DEVICE": "cpu",
        "HF_HUB_OFFLINE": "1",
    }
    with mock.patch.dict(os.environ, env), dg.DagsterInstance.from_config(str(folder / "home")) as instance:
        yield instance


def _deployment() -> Path:
    """The folder of the instance, built where it is not there yet."""
    folder = Path(tempfile.gettempdir()) / f"clipfarm-benchmark-state-{N}"
    if (folder / "built").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    (folder / "home").mkdir()
    shutil.copy(_PROJECT / "dagster.yaml", folder / "home")
    with (folder / "data" / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(_row(number) for number in range(N))
    for number in range(N):
        (folder / "data" / f"v{number:07}.mp4").touch()
    started = time.monotonic()
    with _entered(folder) as instance:
        _read_metadata(instance)
        _book_everything(instance)
    (folder / "built").write_text(f"{time.monotonic() - started:.0f} s\n")
    return folder


def _read_metadata(instance: dg.DagsterInstance) -> None:
    job = build(load_settings()).resolve_job_def("read_metadata")
    assert job.execute_in_process(instance=instance).success


def _book_everything(instance: dg.DagsterInstance) -> None:
    """Books the first videos through the product's writer, and all others as copies of those rows."""
    workshop = Workshop(load_settings())
    videos = list(videos_from_table(workshop.metadata().videos))
    run = dg.DagsterRun("process_videos", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    versions = _data_versions(videos[:_RUN_OF])
    hashes = [_hashes(videos[first : first + _RUN_OF], workshop) for first in range(0, len(videos), _RUN_OF)]
    for stage in SEVEN:
        _book(instance, run, stage, workshop, videos[:_RUN_OF], versions)
    index = Path(os.environ["CLIPFARM_DAGSTER_STORAGE"]) / "history" / "runs" / "index.db"
    with sqlite3.connect(index) as log:
        log.execute("PRAGMA synchronous = OFF")
        _copy(log, run.run_id, hashes)
    instance.report_run_canceled(run)


def _data_versions(videos: Sequence[Video]) -> dict[str, dict[str, str]]:
    """What each stage made of each video: nothing of one in a hundred."""
    return {
        video.video_id: {stage.name: content_sha256(f"{stage.name} of {video.video_id}".encode()) for stage in SEVEN}
        for video in videos
    }


def _hashes(videos: Sequence[Video], workshop: Workshop) -> list[str]:
    """Everything by which one video's events differ from another's, in an order that is the same for all."""
    made = _data_versions(videos)
    per_video = (
        [v.video_id, *made[v.video_id].values(), *(s.source_hash(v, made[v.video_id]) for s in SEVEN)] for v in videos
    )
    return [text for texts in per_video for text in texts]


def _copy(log: sqlite3.Connection, run_id: str, hashes: Sequence[Sequence[str]]) -> None:
    columns = "run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition"
    events = log.execute(f"SELECT id, {columns} FROM event_logs WHERE run_id = ? ORDER BY id", [run_id]).fetchall()
    ids = [event[0] for event in events]
    tags = log.execute(
        "SELECT event_id, asset_key, key, value, event_timestamp FROM asset_event_tags WHERE event_id >= ?", ids[:1]
    ).fetchall()
    pattern = re.compile(r"v\d{7}|[0-9a-f]{64}")
    for number, texts in enumerate(hashes[1:], 1):
        others = dict(zip(hashes[0], texts, strict=False))

        def copy(text: str, others: dict[str, str] = others) -> str:
            return pattern.sub(lambda found: others.get(found[0], found[0]), text)

        last = f"v{number * _RUN_OF + len(texts) // 15 - 1:07}"
        offset = number * (ids[-1] - ids[0] + 1)
        kept = {event[0] for event in events if copy(event[-1]) <= last}
        log.executemany(
            f"INSERT INTO event_logs (id, {columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ((e[0] + offset, e[1], copy(e[2]), *e[3:7], copy(e[7])) for e in events if e[0] in kept),
        )
        log.executemany(
            "INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp) VALUES (?, ?, ?, ?, ?)",
            ((t[0] + offset, *t[1:3], copy(t[3]), t[4]) for t in tags if t[0] in kept),
        )


def _book(
    instance: dg.DagsterInstance, run: dg.DagsterRun, stage: Stage, workshop: Workshop, videos: Sequence[Video],
    made: dict[str, dict[str, str]],
) -> None:  # fmt: skip
    """One step over the videos, as it would leave its events: every hundredth video fails at its source."""
    context = SimpleNamespace(instance=instance, run=run, op_handle=stage.name)
    group, versions = EventGroup(context, stage.name), stage.versions(workshop.settings, lambda: workshop.models)  # type: ignore[arg-type]
    videos = [video for video in videos if not (stage.upstream and _fails(video))]
    group.started(video.video_id for video in videos)
    for video in videos:
        failed, of_video = _fails(video) and not stage.upstream, made[video.video_id]
        outcome = Outcome(
            Status.UNSUPPORTED_MEDIA if failed else Status.SUCCESS, stage.source_hash(video, of_video), versions,
            datetime.now(UTC).isoformat(timespec="microseconds"), run.run_id, store_id=workshop.store_id,
            error="Invalid data found when processing input: 'v.mp4'" if failed else None, retry_count=int(failed),
            data_version=None if failed else of_video[stage.name], duration_sec=0.123,
            artifact_key=None if failed else stage.key(video.video_id), etag="1a2b3c-6543210-12c",
            embedding_dim=768 if stage.model and not failed else None,
        )  # fmt: skip
        metadata = outcome_metadata(outcome, {"width": 1280, "height": 720, "seconds": 12.5}, workshop.store)
        if failed:
            group.observed(dg.AssetObservation(stage.name, partition=video.video_id, metadata=metadata), outcome)
            continue
        tags = {
            "dagster/code_version": stage.code_version,
            "dagster/data_version": of_video[stage.name],
            "dagster/data_version_is_user_provided": "true",
        }
        for parent in stage.upstream:
            tags[f"dagster/input_data_version/{parent.name}"] = of_video[parent.name]
            tags[f"dagster/input_event_pointer/{parent.name}"] = "123456"
        event = dg.AssetMaterialization(stage.name, partition=video.video_id, metadata=metadata, tags=tags)
        group.materialized(event, outcome)
    group.flush()


def _fails(video: Video) -> bool:
    return int(video.video_id[1:]) % 100 == 50


def run() -> list[Row]:
    """Builds the instance where it is not there yet, and measures."""
    with _entered(_deployment()) as instance, mock.patch.object(sensors, "STAGES", SEVEN):
        ledger = _once(lambda: _ledger(instance))  # first, since it has a process to itself where it is made
        ticks = _Ticks(instance)
        cold = _once(lambda: ticks.tick("due_videos"))
        ticks.tick("due_videos")  # counts in what the first look found
        quiet = _once(lambda: ticks.tick("due_videos"), times=7)
        appended = [_append(ticks, number) for number in range(3)]
        check = _once(lambda: ticks.tick("new_metadata", checked_at=0.0))
        between = _once(lambda: ticks.tick("new_metadata"), times=7)
    every = f"{N:,} videos, {len(SEVEN)} stages; CPU seconds of one thread"
    return [
        Row("tick of due_videos at which nothing moved, ms", 1000 * quiet.cpu_sec, 50, note=f"{every}; {_wall(quiet)}"),
        Row(
            "tick of due_videos after one appended row, warm, s",
            statistics.median(each.cpu_sec for each in appended), 2, note=_wall(appended[-1]),
        ),
        Row("first tick of due_videos of a process, s", cold.cpu_sec, note=_wall(cold)),
        Row("tick of new_metadata between checks of the files, ms", 1000 * between.cpu_sec, 50, note=_wall(between)),
        Row("tick of new_metadata that checks every local file, s", check.cpu_sec, note=_wall(check)),
        Row("ledger as Parquet and CSV, s", ledger.cpu_sec, 15, note=_wall(ledger)),
    ]  # fmt: skip


class _Ticks:
    """Ticks of the sensors as the code location evaluates them: each with resources of its own."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._definitions = build(load_settings())
        self._cursors: dict[str, str | None] = {}

    def tick(self, name: str, **memory: object) -> Sequence[dg.RunRequest]:
        """One evaluation; ``memory`` overrides what the sensor remembers."""
        if memory:
            self._cursors[name] = json.dumps({**json.loads(self._cursors.get(name) or "{}"), **memory})
        with dg.build_sensor_context(
            self._instance, cursor=self._cursors.get(name), definitions=self._definitions, sensor_name=name,
            resources={"platform": Platform(s3=S3Resource())},
        ) as context:  # fmt: skip
            found = self._definitions.resolve_sensor_def(name).evaluate_tick(context)
        self._cursors[name] = found.cursor or self._cursors.get(name)
        return found.run_requests or []

    @contextmanager
    def appended(self, video_id: str) -> Iterator[None]:
        """A row more in the metadata for the time of the block."""
        workshop = Workshop(load_settings())
        tables = workshop.metadata()
        row = {**tables.videos.slice(0, 1).to_pylist()[0], "video_id": video_id}
        videos = pa.concat_tables([tables.videos, pa.Table.from_pylist([row], schema=tables.videos.schema)])
        for rows in (videos, tables.videos):
            workshop.save_tables(replace(tables, videos=rows))
            self._instance.report_runless_asset_event(dg.AssetMaterialization("video_metadata"))
            if rows is videos:
                yield


def _append(ticks: _Ticks, number: int) -> Timing:
    with ticks.appended(f"w{number:07}"):
        asked: list[dg.RunRequest] = []
        timing = _once(lambda: asked.extend(ticks.tick("due_videos")))
        assert len(asked) == 1
    ticks.tick("due_videos")
    return timing


def _ledger(instance: dg.DagsterInstance) -> None:
    table = read_ledger(instance, Workshop(load_settings()), SEVEN)
    assert table.num_rows == N * len(SEVEN)
    to_parquet(table)
    to_csv(table)


def _once(act: Callable[[], object], times: int = 1) -> Timing:
    return in_turn({"": act}, rounds=times)[""]


def _wall(timing: Timing) -> str:
    return f"{timing.wall_sec:.3g} s by the clock"


if __name__ == "__main__":
    print(_deployment())
