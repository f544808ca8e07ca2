"""What is kept between looks says exactly what reading everything says, whatever happens to log, metadata or clock."""

import csv
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import dagster as dg
import pytest
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from clipfarm_assets.graph import log_watch
from clipfarm_assets.graph.agenda import Agenda
from clipfarm_assets.graph.events import OUTCOME, EventGroup
from clipfarm_assets.graph.jobs import chunk_config
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.raw import RAW_AUDIO, RAW_TEXT, RAW_VIDEO
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.state import read_state
from clipfarm_assets.graph.warm import WarmAgenda
from clipfarm_assets.metadata.read import read_metadata
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets_tests.graph.deployment import PROJECT

IDS = ("v0", "v1", "v2")
VIDEOS = st.sampled_from(IDS)
STAGE = st.sampled_from([0, 0, 1, 2])  # most of what can happen happens to the first
STATUSES = st.sampled_from([Status.SUCCESS, Status.FAIL, Status.SUCCESS, Status.UNSUPPORTED_MEDIA, Status.RATE_LIMITED])
FITS = st.sampled_from([True, True, False])
PAUSE_SEC = 60


@pytest.fixture(scope="module", autouse=True)
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Dagster home whose databases are made, to be copied: making them takes a second."""
    home = tmp_path_factory.mktemp("template")
    shutil.copy(PROJECT / "dagster.yaml", home)
    with mock.patch.dict(os.environ, CLIPFARM_DAGSTER_STORAGE=str(home / "storage")):
        with dg.DagsterInstance.from_config(str(home)) as instance:
            instance.add_dynamic_partitions("videos", ["v0"])
            instance.add_run(dg.DagsterRun("nothing"))
    Looks.template = home
    yield home


class Looks(RuleBasedStateMachine):
    """A deployment of three stages to which anything may happen, looked at after every step."""

    template: Path

    @initialize(newest=st.sampled_from([3, 10_000]))
    def begin(self, newest: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="clipfarm-looks-"))
        shutil.copytree(self.template, self.folder / "home")
        self.patches = [
            mock.patch.dict(os.environ, CLIPFARM_DAGSTER_STORAGE=str(self.folder / "home" / "storage")),
            mock.patch.object(log_watch, "_NEWEST", newest),
        ]
        for patch in self.patches:
            patch.start()
        self.instance = dg.DagsterInstance.from_config(str(self.folder / "home"))
        self.warm = WarmAgenda()
        self.last: Agenda | None = None
        self.unseen = False  # what happened last shows by no sign of the log
        self.now = datetime(2026, 5, 1, tzinfo=UTC)
        self.rows = {video: {"url": "0.mp4", "title": video, "removed": "", "view_count": "1"} for video in IDS}
        self.code, self.store, self.pause = 1, "store", PAUSE_SEC
        self.runs: list[dg.DagsterRun] = []
        self.held: list[tuple[str, dict[str, object]]] = []
        self.write_rows()

    def teardown(self) -> None:
        if hasattr(self, "instance"):
            self.instance.dispose()
            for patch in self.patches:
                patch.stop()
            shutil.rmtree(self.folder)

    # what the platform is made of

    @property
    def stages(self) -> Sequence[Stage]:
        video = replace(RAW_VIDEO, code_version=str(self.code))
        return video, replace(RAW_AUDIO, upstream=(video,)), replace(RAW_TEXT, upstream=(video,))

    @property
    def workshop(self) -> Workshop:
        return Workshop(Settings(_env_file=None, store=str(self.folder / self.store), retry_pause_sec=self.pause))

    def run(self, videos: Sequence[str] = (), status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> str:
        run = dg.DagsterRun("process_videos", run_config=chunk_config(list(videos)), status=status)
        self.runs.append(self.instance.add_run(run))
        return run.run_id

    def group(self, stage: Stage, run_id: str) -> EventGroup:
        run = next(run for run in self.runs if run.run_id == run_id)
        return EventGroup(SimpleNamespace(instance=self.instance, run=run, op_handle=stage.name), stage.name)  # type: ignore[arg-type]

    def write_rows(self) -> None:
        file = io.StringIO()
        fields = ["video_id", "url", "title", "language", "removed", "view_count"]
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows({"video_id": video_id, **row} for video_id, row in self.rows.items())
        workshop = self.workshop
        workshop.save_tables(read_metadata(file.getvalue().encode(), previous=workshop.tables()))
        self.instance.report_runless_asset_event(dg.AssetMaterialization("video_metadata"))

    # what may happen

    @rule(video=VIDEOS, url=st.integers(0, 1), views=st.integers(0, 2), removed=st.sampled_from(["", "", "", "true"]))
    def a_row_comes_or_changes(self, video: str, url: int, views: int, removed: str) -> None:
        self.rows[video] = {"url": f"{url}.mp4", "title": video, "removed": removed, "view_count": str(views)}
        self.write_rows()

    @rule(video=VIDEOS)
    def a_row_vanishes(self, video: str) -> None:
        self.rows.pop(video, None)
        self.write_rows()

    @rule(
        videos=st.lists(VIDEOS, min_size=1, unique=True),
        at=STAGE,
        status=STATUSES,
        fits=st.sampled_from([True, True, False]),
    )
    def a_step_books_outcomes(self, videos: Sequence[str], at: int, status: Status, fits: bool) -> None:
        stage, run_id = self.stages[at], self.run(videos)
        state, workshop = read_state(self.instance, self.workshop, self.stages, self.now), self.workshop
        versions = stage.versions(workshop.settings, lambda: workshop.models)
        group = self.group(stage, run_id)
        for video_id in videos:
            verdict = state.verdicts.get(video_id, {}).get(stage.name)
            source_hash = verdict.source_hash if verdict and verdict.source_hash and fits else "another"
            made = status.materialized
            outcome = Outcome(
                status, source_hash, versions, self.now.isoformat(), run_id, f"dv of {source_hash}" if made else None,
                retry_count=0 if made else 1, store_id=workshop.store_id,
            )  # fmt: skip
            metadata = {OUTCOME: dg.MetadataValue.json(outcome.to_fields())}
            if made:
                group.materialized(dg.AssetMaterialization(stage.name, partition=video_id, metadata=metadata), outcome)
            else:
                group.observed(dg.AssetObservation(stage.name, partition=video_id, metadata=metadata), outcome)
        group.flush()

    @rule(videos=st.lists(VIDEOS, min_size=1, unique=True), at=STAGE)
    def a_step_begins_and_says_no_more(self, videos: Sequence[str], at: int) -> None:
        self.group(self.stages[at], self.run(videos)).started(videos)

    @rule(video=VIDEOS, at=STAGE)
    def dagster_plans_a_partition(self, video: str, at: int) -> None:
        stage = self.stages[at].name
        planned = AssetMaterializationPlannedData(dg.AssetKey(stage), partition=video)
        event = DagsterEvent.build_asset_materialization_planned_event("process_videos", stage, planned)
        self.instance.report_dagster_event(event, self.run([video]))

    @rule(videos=st.lists(VIDEOS, min_size=1, unique=True))
    def a_run_starts(self, videos: Sequence[str]) -> None:
        self.run(videos, dg.DagsterRunStatus.STARTED)

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 100))
    def a_run_ends(self, number: int) -> None:
        run = self.instance.get_run_by_id(self.runs[number % len(self.runs)].run_id)
        if run is not None and not run.is_finished:
            self.instance.report_run_canceled(run)

    @precondition(lambda self: self.runs)
    @rule(first=st.booleans())
    def a_run_is_deleted(self, first: bool) -> None:
        self.instance.delete_run(self.runs.pop(0 if first else -1).run_id)

    @rule(at=STAGE)
    def an_asset_is_wiped(self, at: int) -> None:
        self.instance.wipe_assets([dg.AssetKey(self.stages[at].name)])

    @rule(video=VIDEOS)
    def a_partition_is_added_or_deleted(self, video: str) -> None:
        if self.instance.has_dynamic_partition("videos", video):
            self.instance.delete_dynamic_partition("videos", video)
        else:
            self.instance.add_dynamic_partitions("videos", [video])

    @rule(seconds=st.sampled_from([1, PAUSE_SEC, 20 * PAUSE_SEC]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(what=st.sampled_from(["code", "settings", "store", "clock"]))
    def something_changes_for_all(self, what: str) -> None:
        if what == "code":
            self.code, self.unseen = 3 - self.code, True
        elif what == "settings":
            self.pause = PAUSE_SEC - self.pause
        elif what == "clock":
            self.now -= timedelta(seconds=PAUSE_SEC)
        else:
            shutil.rmtree(self.folder / self.store)
            self.write_rows()
            self.unseen = True

    @precondition(lambda self: not self.held)
    @rule(video=VIDEOS, at=STAGE, status=STATUSES)
    def two_transactions_overlap_and_the_later_one_is_committed_first(
        self, video: str, at: int, status: Status
    ) -> None:
        self.a_step_books_outcomes([video], at, status, True)
        with self.instance.event_log_storage.index_connection() as log:  # type: ignore[attr-defined]
            event = log.execute(text("SELECT * FROM event_logs ORDER BY id DESC LIMIT 1")).mappings().one()
            tags = log.execute(text("SELECT * FROM asset_event_tags WHERE event_id = :id"), {"id": event["id"]})
            self.held = [("event_logs", dict(event)), *(("asset_event_tags", dict(tag)) for tag in tags.mappings())]
        self.a_step_begins_and_says_no_more([video], (at + 1) % 3)
        with self.instance.event_log_storage.index_connection() as log:  # type: ignore[attr-defined]
            for table, row in self.held:
                log.execute(text(f"DELETE FROM {table} WHERE id = :id"), {"id": row["id"]})

    @precondition(lambda self: self.held)
    @rule()
    def the_earlier_one_is_committed(self) -> None:
        with self.instance.event_log_storage.index_connection() as log:  # type: ignore[attr-defined]
            for table, row in self.held:
                names = ", ".join(f'"{name}"' for name in row)
                values = ", ".join(f":{name}" for name in row)
                log.execute(text(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({values})"), row)
        self.held, self.unseen = [], True

    # what must hold

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "instance"):
            return
        workshop, stages = self.workshop, self.stages
        cold = read_state(self.instance, workshop, stages, self.now).agenda
        if not self.unseen and self.warm.is_quiet(self.instance, workshop.settings, self.now):
            assert self.last == cold
        self.last = self.warm.look(self.instance, workshop, stages, self.now)
        self.unseen = False
        assert self.last == cold


LIMITS = settings(max_examples=2, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))


def test_both_say_the_same_whatever_happens() -> None:
    run_state_machine_as_test(Looks, settings=LIMITS)


@pytest.mark.slow
def test_both_say_the_same_whatever_happens_for_long() -> None:
    run_state_machine_as_test(Looks, settings=settings(LIMITS, max_examples=20, stateful_step_count=40))
