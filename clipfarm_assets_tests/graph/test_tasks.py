"""From a CSV, or from segments described elsewhere, to Tasks: what is asked for when, and whose trouble stays whose."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster_aws.s3 import S3Resource
from sqlalchemy import select

from clipfarm_assets.cli import main
from clipfarm_assets.database.tables import PooledSegment, Task, TaskSegmentLink
from clipfarm_assets.errors import DatabaseUnavailable
from clipfarm_assets.graph import embeddings
from clipfarm_assets.graph import tasks as graph_tasks
from clipfarm_assets.graph.platform import Platform
from clipfarm_assets.graph.teams import clusters_key, tasks_key
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets.tasks.run import cluster_team
from clipfarm_assets_tests.graph.deployment import Deployment
from clipfarm_assets_tests.llm_server import LlmServer, Turn, serving

EXPORT = "The export of the report stops at ninety percent and ends with an error, every single time."
EXPORT_AGAIN = "Exporting the report as a PDF fails with an error at ninety percent, again and again."
COOKING = "Today we bake bread with olives, and let the dough rest for an hour."
HEAD = ("video_id", "start_sec", "end_sec", "recorded_at", "description", "team", "user_id", "failure", "vector")


def imported(folder: Path, name: str, rows: Sequence[Sequence[object]]) -> None:
    (folder / "data" / "segments").mkdir(parents=True, exist_ok=True)
    with (folder / "data" / "segments" / name).open("w", newline="") as file:
        csv.writer(file).writerows([HEAD, *rows])


def described(video_id: str, text: str, *, team: str = "web", user: str = "u1", failure: str = "none") -> list[object]:
    return [video_id, 0, 20, "2026-02-01T10:00:00Z", text, team, user, failure, ""]


def places(deployment: Deployment, team: str) -> dict[str, str | None]:
    """The Task of every segment of a team, by video; None for one that waits."""
    links, pool = TaskSegmentLink, PooledSegment
    with deployment.workshop.database.read() as session:
        found: dict[str, str | None] = {
            video: task
            for video, task in session.execute(select(links.video_id, links.task_id).where(links.team == team))
        }
        return found | dict.fromkeys(session.scalars(select(pool.video_id).where(pool.team == team)))


def table(deployment: Deployment, key: str) -> pa.Table:
    content = deployment.workshop.store.get(key)
    assert content is not None
    return pq.read_table(pa.BufferReader(content))


class Ticks:
    """Sensors of a deployment, each with its cursor; what they ask for is done where a test says so."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.cursors: dict[str, str | None] = {}

    def tick(self, name: str) -> tuple[list[dg.RunRequest], str]:
        instance, definitions = self.deployment.instance, self.deployment.definitions
        with dg.build_sensor_context(
            instance, cursor=self.cursors.get(name), definitions=definitions, sensor_name=name,
            resources={"platform": Platform(s3=S3Resource())},
        ) as context:  # fmt: skip
            found = definitions.resolve_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = found.cursor
        for request in found.dynamic_partitions_requests or []:
            instance.add_dynamic_partitions("teams", request.partition_keys)
        return list(found.run_requests or []), found.skip_message or ""

    def asked_teams(self) -> list[str]:
        return [str(request.partition_key) for request in self.tick("new_segments")[0]]

    def cluster(self, team: str) -> dg.ExecuteInProcessResult:
        job = self.deployment.definitions.resolve_job_def("cluster_teams")
        return job.execute_in_process(instance=self.deployment.instance, partition_key=team, raise_on_error=False)

    def import_segments(self) -> dg.ExecuteInProcessResult:
        job = self.deployment.definitions.resolve_job_def("import_segments")
        return job.execute_in_process(instance=self.deployment.instance, raise_on_error=False)


@pytest.fixture(scope="module", autouse=True)
def no_pictures_and_sounds() -> Iterator[None]:
    """The vectors of picture and sound play no part here, and cost more than all the rest."""

    def at_once(items: Iterable[Item], **_: object) -> Iterator[Result]:
        return ((item, Made(b"", details={"embedding_dim": 768})) for item in items)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embeddings.video, "embed_videos", at_once)
        patch.setattr(embeddings.audio, "embed_audios", at_once)
        yield


@pytest.fixture
def ticks(deployment: Deployment) -> Ticks:
    deployment.set("CLIPFARM_FAN_IN_QUIET_SEC", 0)
    return Ticks(deployment)


def clipfarm(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(sys, "argv", ["clipfarm", *arguments])
    with redirect_stdout(io.StringIO()) as out:
        try:
            main.app()
        except SystemExit as ended:
            assert not ended.code, arguments
    return out.getvalue()


@pytest.fixture(scope="module")
def three(module_deployment: Deployment) -> Deployment:
    """Three videos of a team, two of which tell of one trouble, and one of another team, after a first run."""
    it = module_deployment
    it.add("export-1", said=EXPORT, team="app", user_id="ann")
    it.add("export-2", 1, said=EXPORT_AGAIN, team="app", user_id="ben", published_at="2026-01-05T00:00:00Z")
    it.add("bread", 2, said=COOKING, team="app", user_id="cy")
    it.add("other", 3, said=EXPORT, team="web/shop")
    it.run(fan_in=False, clusters=True)
    return it


class TestVideos:
    def test_two_videos_of_one_trouble_become_one_task_of_their_team(self, three: Deployment) -> None:
        found = places(three, "app")
        assert found["export-1"] == found["export-2"] is not None
        assert found["bread"] != found["export-1"]
        assert set(places(three, "web/shop")) == {"other"}

    def test_a_second_run_finds_nothing_to_do(self, three: Deployment) -> None:
        before = places(three, "app")
        three.run(fan_in=False, clusters=True)
        assert (three.reports[-1].runs, places(three, "app")) == (0, before)

    def test_links_and_tasks_lie_in_the_store_as_parquet_by_team(self, three: Deployment) -> None:
        assert clusters_key("web/shop") == "clipfarm/clusters/web%2Fshop.parquet"
        links, found = table(three, clusters_key("app")), table(three, tasks_key("app"))
        tasks = dict(zip(found["task_id"].to_pylist(), found.to_pylist(), strict=True))
        shared = tasks[places(three, "app")["export-1"]]  # type: ignore[index]
        assert (shared["segment_count"], shared["distinct_user_count"], shared["status"]) == (2, 2, "open")
        parts = shared["users_part"] * shared["impact_part"] * shared["recency_part"]
        assert shared["priority"] == pytest.approx(parts)
        assert dict(zip(links["video_id"].to_pylist(), links["task_id"].to_pylist(), strict=True)) == {
            video: task for video, task in places(three, "app").items() if task
        }

    def test_the_time_of_a_segment_is_the_publication_else_the_first_capture(self, three: Deployment) -> None:
        rows = table(three, "clipfarm/segments/export-2.parquet").to_pylist()
        rows += table(three, "clipfarm/segments/export-1.parquet").to_pylist()
        assert [row["recorded_at"].isoformat() for row in rows] == [
            "2026-01-05T00:00:00+00:00", "2026-01-01T00:00:00+00:00",
        ]  # fmt: skip
        assert {row["described_by"] for row in rows} == {"transcript"}

    def test_the_ui_shows_a_map_and_the_priorities_with_their_parts(self, three: Deployment) -> None:
        shown: dict[str, Any] = {}
        for name in ("clusters", "tasks"):
            asked = dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=["app"])
            (record,) = three.instance.fetch_materializations(asked, limit=1).records
            assert record.asset_materialization is not None
            shown |= {key: value.value for key, value in record.asset_materialization.metadata.items()}
        assert shown["map"].startswith("![picture](data:image/png;base64,")
        assert "| task | priority | users | impact | recency |" in shown["by_priority"]
        assert "| new segments | 3 |" in shown["run"]

    def test_tables_that_the_store_has_lost_are_written_again(self, three: Deployment) -> None:
        before = table(three, tasks_key("app"))["task_id"].to_pylist()
        three.workshop.store.delete(tasks_key("app"))
        three.run(fan_in=False, clusters=True)
        assert table(three, tasks_key("app"))["task_id"].to_pylist() == before


class TestCommands:
    """In the order of a person's work; what is written here shows in the deployment that the module shares."""

    def test_tasks_are_listed_by_priority_with_the_parts_of_the_score(
        self, three: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = json.loads(clipfarm(monkeypatch, "tasks", "list", "--format", "json"))
        assert [each["priority"] for each in found] == sorted((each["priority"] for each in found), reverse=True)
        assert set(found[0]["parts"]) == {"formula", "users", "impact", "recency"}
        printed = clipfarm(monkeypatch, "tasks", "--team", "app")
        assert all(part in printed for part in ("score", "users", "impact", "recency", "title"))
        assert "Export" in printed

    def test_a_task_shows_its_segments_with_links_into_the_videos(
        self, three: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task_id = str(places(three, "app")["export-1"])
        shown = json.loads(clipfarm(monkeypatch, "tasks", "show", task_id[:8], "--format", "json"))
        assert {segment["video_id"] for segment in shown["segments"]} == {"export-1", "export-2"}
        link = next(s["link"] for s in shown["segments"] if s["video_id"] == "export-1")
        assert Path(link.split("#t=")[0]).is_file()
        assert link.split("#t=")[1] == "0.0,0.5"
        assert EXPORT in clipfarm(monkeypatch, "tasks", "show", task_id)

    def test_what_a_person_decides_shows_in_the_list_and_after_a_run_in_the_export(
        self, three: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task_id = str(places(three, "app")["export-1"])
        for action, status in [
            ("start", "in_progress"), ("resolve", "resolved"), ("reopen", "open"), ("ignore", "ignored"),
        ]:  # fmt: skip
            assert status in clipfarm(monkeypatch, "tasks", action, task_id[:8])
        listed = json.loads(clipfarm(monkeypatch, "tasks", "--format", "json", "--team", "app"))
        assert task_id not in {each["id"] for each in listed}
        assert task_id in clipfarm(monkeypatch, "tasks", "list", "--all", "--format", "json")
        three.run(fan_in=False, clusters=True)
        exported = table(three, tasks_key("app"))
        statuses = dict(zip(exported["task_id"].to_pylist(), exported["status"].to_pylist(), strict=True))
        assert statuses[task_id] == "ignored"
        three.run(fan_in=False, clusters=True)
        assert three.reports[-1].runs == 0

    def test_a_task_that_is_merged_leads_to_the_one_that_took_it_in(
        self, three: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        imported(three.folder, "grave.csv", [described("s1", COOKING, team="app", failure="blocking")])
        imported(three.folder, "grave2.csv", [described("s2", "The phone falls.", team="app", failure="blocking")])
        three.run(fan_in=False, clusters=True)
        found = places(three, "app")
        gone, kept = str(found["s2"]), str(found["export-1"])
        assert "took in" in clipfarm(monkeypatch, "tasks", "merge", gone, kept)
        assert f"{gone} was merged into {kept}" in clipfarm(monkeypatch, "tasks", "show", gone)


def test_videos_that_are_removed_or_move_to_another_team_take_their_segments_along(
    three: Deployment,
) -> None:
    before = places(three, "app")
    three.change("export-1", removed="true", captured_at="2026-03-01T00:00:00Z")
    three.change("bread", team="web/shop")
    three.run(fan_in=False, clusters=True)
    assert {video: task for video, task in before.items() if video not in {"export-1", "bread"}} == places(three, "app")
    assert set(places(three, "web/shop")) == {"other", "bread"}
    assert "export-1" not in table(three, clusters_key("app"))["video_id"].to_pylist()
    exported = {row["task_id"]: row for row in table(three, tasks_key("app")).to_pylist()}
    assert exported[before["export-2"]]["distinct_user_count"] == 2  # ben, and the user of the Task merged into it
    assert not list(three.folder.glob("store/clipfarm/*/export-1*"))


class TestSensors:
    def test_a_teams_run_is_asked_for_when_its_segments_are_new_and_not_otherwise(self, ticks: Ticks) -> None:
        here = ticks.deployment
        imported(here.folder, "web.csv", [described(f"s{n}", EXPORT) for n in range(3)])
        assert len(ticks.tick("new_imports")[0]) == 1
        assert ticks.import_segments().success
        assert ticks.tick("new_imports")[0] == []
        assert ticks.asked_teams() == ["web"]
        assert ticks.asked_teams() == []  # asked for, not done yet
        assert ticks.cluster("web").success
        assert ticks.asked_teams() == []
        imported(here.folder, "app.csv", [described("s9", EXPORT, team="app")])
        assert ticks.import_segments().success
        assert ticks.asked_teams() == ["app"]

    def test_a_person_who_resolves_a_task_has_its_teams_export_made_again(
        self, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        imported(ticks.deployment.folder, "web.csv", [described(f"s{n}", EXPORT) for n in range(3)])
        ticks.import_segments()
        ticks.asked_teams()
        ticks.cluster("web")
        assert ticks.asked_teams() == []
        (task_id,) = set(places(ticks.deployment, "web").values())
        clipfarm(monkeypatch, "tasks", "resolve", str(task_id))
        assert ticks.asked_teams() == ["web"]

    def test_segments_that_are_being_made_are_waited_for(self, ticks: Ticks) -> None:
        imported(ticks.deployment.folder, "web.csv", [described("s1", EXPORT)])
        ticks.import_segments()
        run = dg.DagsterRun("process_videos", status=dg.DagsterRunStatus.STARTED)
        ticks.deployment.instance.add_run(run)
        assert ticks.tick("new_segments") == ([], "Segments are being made.")
        ticks.deployment.instance.report_run_failed(run)
        assert ticks.asked_teams() == ["web"]

    def test_the_schedule_asks_for_every_enabled_team(self, ticks: Ticks) -> None:
        here = ticks.deployment
        here.set("CLIPFARM_VIDEO_SEGMENT_CLUSTERING_ENABLED", "web, app")
        rows = [described(f"s{team}", EXPORT, team=team) for team in ("web", "app", "off")]
        imported(here.folder, "all.csv", rows)
        ticks.import_segments()
        assert sorted(ticks.asked_teams()) == ["app", "web"]
        schedule = here.definitions.resolve_schedule_def("cluster_every_team")
        assert schedule.cron_schedule == "*/30 * * * *"
        resources = {"platform": Platform(s3=S3Resource())}
        with dg.build_schedule_context(here.instance, resources=resources) as context:
            found = schedule.evaluate_tick(context).run_requests or []
        assert sorted(str(request.partition_key) for request in found) == ["app", "web"]
        here.instance.add_dynamic_partitions("teams", ["off"])  # as a person might, who then asks for its run
        assert not ticks.cluster("off").success
        assert places(here, "off") == {}


def test_one_teams_failure_stops_no_other(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [described(f"{team}-{n}", EXPORT, team=team) for team in ("a", "b", "c") for n in range(2)]
    imported(deployment.folder, "all.csv", rows)

    def fails_for_b(database: Any, team: str, *rest: Any) -> Any:
        if team == "b":
            raise DatabaseUnavailable("The disk is full.")
        return cluster_team(database, team, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(graph_tasks, "cluster_team", fails_for_b)
        deployment.run(fan_in=False, clusters=True)
    assert [set(places(deployment, team)) for team in "abc"] == [{"a-0", "a-1"}, set(), {"c-0", "c-1"}]
    assert any("The disk is full." in error for error in deployment.reports[-1].errors)
    deployment.run(fan_in=False, clusters=True)
    assert (set(places(deployment, "b")), deployment.reports[-1].errors) == ({"b-0", "b-1"}, [])


class TestImports:
    def test_bad_rows_are_named_and_stop_no_good_ones(self, deployment: Deployment) -> None:
        rows = [
            described("s1", EXPORT), described("s2", EXPORT_AGAIN), described("../s3", EXPORT),
            ["s4", 9, 3, "2026-02-01T10:00:00Z", EXPORT, "web", "u", "none", ""],
            ["s5", 0, 9, "yesterday", EXPORT, "web", "u", "none", ""],
            ["s6", 0, 9, "2026-02-01T10:00:00Z", EXPORT, "web", "u", "terrible", ""],
        ]  # fmt: skip
        imported(deployment.folder, "web.csv", rows)
        deployment.run(fan_in=False, clusters=True)
        assert places(deployment, "web").keys() == {"s1", "s2"}
        event = deployment.instance.get_latest_materialization_event(dg.AssetKey("imported_segments"))
        assert event is not None and event.asset_materialization is not None
        shown = str(event.asset_materialization.metadata["refused_rows"].value)
        for row, reason in (("3", "video_id"), ("4", "runs from"), ("5", "recorded_at"), ("6", "failure")):
            assert any(f"| {row} |" in line and reason in line for line in shown.splitlines()), shown

    def test_vectors_of_any_dimension_are_kept_from_csv_and_parquet(self, deployment: Deployment) -> None:
        axes = np.eye(3072, dtype=np.float32)
        rows = [[*described(f"s{n}", "x" * n + "x")[:-1], json.dumps(axes[n // 3].tolist())] for n in range(6)]
        imported(deployment.folder, "web.csv", rows)
        columns = dict(zip(HEAD, zip(*rows, strict=True), strict=True)) | {
            "team": ["parquet"] * 6, "vector": [axes[n // 2].tolist() for n in range(6)], "vector_model": ["large"] * 6,
        }  # fmt: skip
        pq.write_table(pa.table(columns), deployment.folder / "data" / "segments" / "more.parquet")
        deployment.run(fan_in=False, clusters=True)
        web, more = places(deployment, "web"), places(deployment, "parquet")
        assert len(set(web.values())) == 2 and web["s0"] == web["s2"] != web["s3"]
        assert len(set(more.values())) == 3 and more["s0"] == more["s1"] != more["s2"]

    def test_a_file_that_cannot_be_read_says_so_and_the_others_are_taken_in(self, deployment: Deployment) -> None:
        imported(deployment.folder, "good.csv", [described("s1", EXPORT)])
        (deployment.folder / "data" / "segments" / "bad.csv").write_text("video_id,description\ns1,Hello\n")
        deployment.run(fan_in=False, clusters=True)
        assert places(deployment, "web").keys() == {"s1"}
        assert any("bad.csv has no column start_sec" in error for error in deployment.reports[-1].errors)

    def test_a_corrected_file_replaces_what_it_brought_and_an_emptied_one_takes_it_away(
        self, deployment: Deployment
    ) -> None:
        imported(deployment.folder, "web.csv", [described("s1", EXPORT), described("s2", EXPORT)])
        deployment.run(fan_in=False, clusters=True)
        imported(deployment.folder, "web.csv", [described("s1", EXPORT), described("s3", EXPORT, team="app")])
        deployment.run(fan_in=False, clusters=True)
        assert (set(places(deployment, "web")), set(places(deployment, "app"))) == ({"s1"}, {"s3"})
        (deployment.folder / "data" / "segments" / "web.csv").unlink()  # a disk that is away takes nothing with it
        deployment.run(fan_in=False, clusters=True)
        assert set(places(deployment, "web")) == {"s1"}
        imported(deployment.folder, "web.csv", [])
        deployment.run(fan_in=False, clusters=True)
        assert (places(deployment, "web"), places(deployment, "app")) == ({}, {})

    def test_a_segment_that_two_files_bring_stays_with_the_first(self, deployment: Deployment) -> None:
        imported(deployment.folder, "a.csv", [described("s1", EXPORT), described("s2", EXPORT)])
        imported(deployment.folder, "b.csv", [described("s2", EXPORT_AGAIN), described("s3", EXPORT)])
        deployment.run(fan_in=False, clusters=True)
        assert deployment.reports[-1].errors == []
        assert set(places(deployment, "web")) == {"s1", "s2", "s3"}
        descriptions = {
            row["video_id"]: row["description"] for row in table(deployment, clusters_key("web")).to_pylist()
        }
        assert descriptions["s2"] == EXPORT


SPAN = {
    "title": "The export of a report fails", "description": "A person exports a report, and it fails at the end.",
    "success": False, "failure": "blocking", "confusion": False, "abandonment": True,
}  # fmt: skip
LABEL = {
    "title": "Reports cannot be exported as PDF",
    "description": "The export fails at its end.",
    "actionable": True,
}


def say(request: dict[str, Any]) -> Turn:
    return Turn(SPAN if request["text"]["format"]["name"] == "SpanDescription" else LABEL)


class TestLanguageModel:
    @pytest.fixture
    def server(self, deployment: Deployment) -> Iterator[LlmServer]:
        with serving() as running:
            deployment.set("CLIPFARM_LLM_MODEL", "tiny-1")
            deployment.set("CLIPFARM_LLM_RETRIES", 0)
            deployment.set("OPENAI_BASE_URL", running.url)
            deployment.set("OPENAI_API_KEY", "sk-secret")
            deployment.add("export-1", said=EXPORT)
            deployment.add("export-2", 1, said=EXPORT_AGAIN)
            yield running

    def segments(self, deployment: Deployment) -> list[dict[str, Any]]:
        return [table(deployment, f"clipfarm/segments/export-{n}.parquet").to_pylist()[0] for n in (1, 2)]

    def test_it_describes_and_labels_and_signs_both(self, deployment: Deployment, server: LlmServer) -> None:
        server.say = say
        deployment.run(fan_in=False, clusters=True)
        for row in self.segments(deployment):
            assert (row["described_by"], row["description"]) == ("tiny-1 segment_description.v1", SPAN["description"])
            assert (row["failure"], row["abandonment"], row["describe_error"]) == ("blocking", True, None)
        pictures = [part for part in server.requests[0]["input"][0]["content"] if part["type"] == "input_image"]
        assert 1 <= len(pictures) <= 5
        (task,) = table(deployment, tasks_key("default")).to_pylist()
        assert (task["title"], task["labelled_by"]) == (LABEL["title"], "tiny-1 task_label.v1")
        asked = len(server.requests)
        deployment.run(fan_in=False, clusters=True)
        assert (deployment.reports[-1].runs, len(server.requests)) == (0, asked)

    def test_one_out_of_reach_loses_no_segment_and_is_asked_again_when_it_is_back(
        self, deployment: Deployment, server: LlmServer
    ) -> None:
        server.say = lambda request: Turn(status=500)
        deployment.set("CLIPFARM_RETRY_PAUSE_SEC", 3600)
        deployment.run(fan_in=False, clusters=True)
        assert [row["description"] for row in self.segments(deployment)] == [EXPORT, EXPORT_AGAIN]
        assert all("unavailable" in row["describe_error"] for row in self.segments(deployment))
        assert all(row["described_by"] == "transcript" for row in self.segments(deployment))
        assert deployment.statuses("export-1")["segments"] == "not_described"
        assert len(set(places(deployment, "default").values())) == 1
        server.say = say
        deployment.set("CLIPFARM_RETRY_PAUSE_SEC", 0)
        deployment.run(fan_in=False, clusters=True)
        assert all(row["description"] == SPAN["description"] for row in self.segments(deployment))
        assert deployment.statuses("export-1")["segments"] == "success"
        (task,) = [row for row in table(deployment, tasks_key("default")).to_pylist() if row["segment_count"]]
        assert (task["segment_count"], task["title"]) == (2, LABEL["title"])


def test_nothing_is_sent_anywhere_where_no_model_is_configured(deployment: Deployment) -> None:
    with serving() as server:
        deployment.set("OPENAI_BASE_URL", server.url)
        deployment.set("OPENAI_API_KEY", "sk-secret")
        deployment.add("export-1", said=EXPORT)
        deployment.run(fan_in=False, clusters=True)
        assert server.requests == []
    with deployment.workshop.database.read() as session:
        assert {task.labelled_by for task in session.scalars(select(Task))} <= {"keywords"}
