"""``kill -9``: what is finished is kept, nothing half-written is ever read, and the next run takes up the rest."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import numpy as np
import pytest
from dagster_aws.s3 import S3Resource

from clipfarm_assets.graph import raw
from clipfarm_assets.graph.events import EventGroup
from clipfarm_assets.graph.in_flight import report_dead_runs, unfinished_runs, videos_in_flight
from clipfarm_assets.graph.jobs import process_videos
from clipfarm_assets.graph.ledger import count_by_stage, ledger_table
from clipfarm_assets.graph.platform import Platform
from clipfarm_assets.graph.raw import RAW_VIDEO
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.store.artifacts import Identity, content_sha256
from clipfarm_assets_tests.graph.conftest import NewDeployment
from clipfarm_assets_tests.graph.deployment import Deployment, expect

KILLED = -signal.SIGKILL
N_VIDEOS = 40
N_KILLS = 4
TIMEOUT_SEC = 600

RUN = """
from clipfarm_assets.definitions import build
from clipfarm_assets.graph import events
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.run import Runner
from clipfarm_assets.settings import load_settings
from clipfarm_assets.store.object_store import ObjectStore
import dagster as dg, os

calls = 0
def kill_at(number):
    global calls
    calls += 1
    if calls == number:
        os.kill(os.getpid(), 9)

put, materialized = ObjectStore.put, events.EventGroup.materialized
def put_but_no_identity(self, key, content):
    if key.endswith(".mp4.identity.json"):
        kill_at(2)
    return put(self, key, content)
def no_booking(self, event, outcome):
    if event.asset_key.path == ["raw_video"]:
        kill_at(2)
    materialized(self, event, outcome)
{fault}
settings = load_settings()
with dg.DagsterInstance.get() as instance:
    Runner(build(settings), instance, Workshop(settings)).run()
"""
BETWEEN_ARTIFACT_AND_IDENTITY = "ObjectStore.put = put_but_no_identity"
BETWEEN_IDENTITY_AND_BOOKING = "events.EventGroup.materialized = no_booking"


VECTORS = ("video_embedding", "audio_embedding", "text_embedding")


def whole_artifacts(deployment: Deployment) -> dict[tuple[str, str], Identity]:
    """What the store proves, each artifact compared with its hash and each vector read."""
    found: dict[tuple[str, str], Identity] = {}
    for stage in STAGES:
        for video_id in deployment.rows:
            identity = deployment.artifacts.present(stage.key(video_id))
            if identity is None:
                continue
            content = deployment.artifacts.store.get(identity.key or "")
            assert content is not None and content_sha256(content) == identity.sha256
            if stage.name in VECTORS:
                assert np.load(BytesIO(content)).shape == (768,)
            found[video_id, stage.name] = identity
    return found


def raw_videos(deployment: Deployment) -> dict[tuple[str, str], Identity]:
    """Those of the stage in which the run was killed."""
    return {pair: identity for pair, identity in whole_artifacts(deployment).items() if pair[1] == "raw_video"}


def every_video_is_in_one_state_per_stage(deployment: Deployment) -> None:
    table = ledger_table(deployment.state())
    assert {name: sum(of.values()) for name, of in count_by_stage(table).items()} == {
        stage.name: len(deployment.rows) for stage in STAGES
    }
    pairs = Counter(zip(table["video_id"].to_pylist(), table["stage"].to_pylist(), strict=True))
    assert set(pairs.values()) == {1}


def booked(deployment: Deployment) -> Counter[tuple[str, str]]:
    """How often the event log says that a video is materialized in a stage."""
    found: Counter[tuple[str, str]] = Counter()
    for stage in STAGES:
        records = deployment.instance.fetch_materializations(dg.AssetKey(stage.name), limit=10_000).records
        found.update((record.partition_key or "", stage.name) for record in records)
    return found


def identities_in(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*.identity.json"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [20260101])
def test_runs_killed_at_random_moments_lose_nothing_and_do_nothing_twice(deployment: Deployment, seed: int) -> None:
    for number in range(N_VIDEOS):
        deployment.add(f"v{number:02}", number % 3)
    deployment.write_csv()
    drawn = random.Random(seed)
    moments = sorted(drawn.sample(range(2, N_VIDEOS * len(STAGES) - 2), N_KILLS))
    store, command = deployment.folder / "store", [str(Path(sys.executable).parent / "clipfarm"), "run"]
    finished: dict[tuple[str, str], Identity] = {}
    for moment in moments:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            deadline = time.monotonic() + TIMEOUT_SEC
            while identities_in(store) < moment and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(drawn.uniform(0, 0.1))
            process.kill()
            assert process.wait() == KILLED, process.stdout.read().decode() if process.stdout else ""
        dead = [run.run_id for run in unfinished_runs(deployment.instance)]
        found = whole_artifacts(deployment)
        assert {key: found[key].made_at for key in finished} == {key: one.made_at for key, one in finished.items()}
        finished = found
        every_video_is_in_one_state_per_stage(deployment)
        assert report_dead_runs(deployment.instance) == dead
        assert all(deployment.instance.get_run_by_id(r).status is dg.DagsterRunStatus.FAILURE for r in dead)  # type: ignore[union-attr]
        assert not videos_in_flight(deployment.instance)
        every_video_is_in_one_state_per_stage(deployment)
    last = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SEC, check=False)
    assert last.returncode == 0, last.stdout + last.stderr
    after = whole_artifacts(deployment)
    assert {key: (after[key].made_at, after[key].etag) for key in finished} == {
        key: (identity.made_at, identity.etag) for key, identity in finished.items()
    }
    assert {row["status"] for row in deployment.ledger().values()} == {"success"}
    assert booked(deployment) == Counter(
        {(video_id, stage.name): 1 for stage in STAGES for video_id in deployment.rows}
    )
    again = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SEC, check=False)
    assert f"Nothing to do: {N_VIDEOS} videos are finished." in again.stdout


KILLED_BY = """
from clipfarm_assets.graph import raw
fetch = raw.fetch_videos
def fetch_and_die(items, *more):
    def watched():
        for item in items:
            if item.video.video_id in {videos}:
                os.kill(os.getpid(), 9)
            yield item
    return fetch(watched(), *more)
raw.fetch_videos = fetch_and_die
"""


def run_in_a_process(videos_that_kill: set[str]) -> int:
    """One `clipfarm run` that is killed as soon as one of the videos is in work; its exit code."""
    fault = KILLED_BY.format(videos=sorted(videos_that_kill))
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(fault=fault)], capture_output=True, timeout=TIMEOUT_SEC, check=False
    )
    assert done.returncode in (0, KILLED), done.stderr.decode()
    return done.returncode


@pytest.mark.slow
def test_a_video_that_kills_its_process_each_time_ends_and_takes_nobody_along(deployment: Deployment) -> None:
    for video_id in ("a", "poison", "z"):
        deployment.add(video_id)
    deployment.write_csv()
    codes = []
    while not codes or codes[-1] == KILLED:
        codes.append(run_in_a_process({"poison"}))
    assert codes == [KILLED] * 5 + [0]  # in company, among suspects, and three tries alone
    row = deployment.ledger()["poison", "raw_video"]
    assert (row["status"], row["retry_count"]) == ("fail_exhausted", 3)
    assert "The process died" in row["error"]
    assert deployment.statuses("a") == deployment.statuses("z") == expect()


@pytest.mark.slow
def test_a_healthy_video_survives_three_kills_in_a_row(deployment: Deployment) -> None:
    for video_id in ("a", "b"):
        deployment.add(video_id)
    deployment.write_csv()
    assert [run_in_a_process({"a", "b"}) for _ in range(3)] == [KILLED] * 3
    deployment.run(fan_in=False)
    assert deployment.statuses("a") == deployment.statuses("b") == expect()


def test_a_death_costs_a_try_only_where_the_video_was_alone(deployment: Deployment) -> None:
    for video_id in ("a", "b", "c"):
        deployment.add(video_id)
    deployment.read_metadata()
    stage, started = RAW_VIDEO, dg.DagsterRunStatus.STARTED

    def dies_at(*video_ids: str) -> None:
        run = deployment.instance.add_run(dg.DagsterRun("process_videos", status=started))
        context = SimpleNamespace(instance=deployment.instance, run=run, op_handle=stage.name)
        EventGroup(context, stage.name).started(video_ids)  # type: ignore[arg-type]
        deployment.instance.report_run_failed(run)

    def noted(*video_ids: str) -> list[tuple[str, str, int]]:
        """What a step over these videos that dies again has noted of each."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(raw, "fetch_videos", lambda items, *_: iter(()))
            deployment.materialize([stage.name], video_ids)
        outcomes = [deployment.outcome(video_id, stage.name) for video_id in video_ids]
        dies_at(*video_ids)
        return [(o.status.value, o.apart, o.retry_count) for o in outcomes if o is not None]

    dies_at("a", "b", "c")
    assert noted("a", "b", "c") == [("fail", "suspects", 0)] * 3
    assert [work.apart for work in deployment.state().agenda.work] == ["a", "b", "c"]
    assert noted("a") == [("fail", "alone", 0)]
    assert noted("a") == [("fail", "alone", 1)]
    assert noted("a", "b") == [("fail", "suspects", 2), ("fail", "suspects", 0)]
    assert noted("a", "b") == [("fail", "suspects", 2), ("fail", "suspects", 0)]
    assert noted("a") == [("fail", "alone", 2)]
    assert [status for status, *_ in noted("a")] == ["fail_exhausted"]
    deployment.run(fan_in=False)
    assert deployment.statuses("b") == deployment.statuses("c") == expect()
    assert deployment.statuses("a")["raw_video"] == "fail_exhausted"


@pytest.fixture
def killed(new_deployment: NewDeployment, request: pytest.FixtureRequest) -> Deployment:
    """Two videos; the run that was to make everything of them died by the given fault."""
    deployment = new_deployment()
    for video_id in ("a", "b"):
        deployment.add(video_id)
    deployment.write_csv()
    child = subprocess.run(
        [sys.executable, "-c", RUN.format(fault=request.param)], capture_output=True, timeout=TIMEOUT_SEC, check=False
    )
    assert child.returncode == KILLED, child.stderr.decode()
    assert os.environ["DAGSTER_HOME"] == str(deployment.home)
    every_video_is_in_one_state_per_stage(deployment)
    return deployment


def finish(deployment: Deployment) -> None:
    """The next run reports the dead one as failed, and takes up the rest."""
    dead = [run.run_id for run in unfinished_runs(deployment.instance)]
    assert videos_in_flight(deployment.instance) == {"a", "b"}
    deployment.run(fan_in=False)
    run = deployment.instance.get_run_by_id(dead[0])
    assert run is not None and run.status is dg.DagsterRunStatus.FAILURE and len(dead) == 1
    assert all(deployment.statuses(video_id) == expect() for video_id in deployment.rows)
    assert not unfinished_runs(deployment.instance)
    assert set(booked(deployment).values()) == {1}


@pytest.mark.parametrize("killed", [BETWEEN_ARTIFACT_AND_IDENTITY], indirect=True, ids=["fault"])
def test_an_artifact_whose_identity_was_not_written_is_not_trusted_and_made_again(killed: Deployment) -> None:
    ((whole, first),) = raw_videos(killed).items()
    assert {path.name for path in (killed.folder / "store/clipfarm/raw/video").glob("*.mp4")} == {"a.mp4", "b.mp4"}
    finish(killed)
    assert killed.identity(*whole) == first


@pytest.mark.parametrize("killed", [BETWEEN_IDENTITY_AND_BOOKING], indirect=True, ids=["fault"])
def test_an_artifact_that_was_not_booked_is_booked_and_not_made_again(killed: Deployment) -> None:
    before = raw_videos(killed)
    assert set(before) == {("a", "raw_video"), ("b", "raw_video")}
    assert ("b", "raw_video") not in booked(killed)
    finish(killed)
    for video_id in ("a", "b"):
        outcome = killed.outcome(video_id, "raw_video")
        assert killed.identity(video_id, "raw_video") == before[video_id, "raw_video"]
        assert outcome is not None and outcome.processed_at == before[video_id, "raw_video"].made_at


@pytest.mark.parametrize("killed", [BETWEEN_ARTIFACT_AND_IDENTITY], indirect=True, ids=["fault"])
def test_the_next_tick_of_the_sensor_reports_the_dead_run_and_asks_for_the_rest(killed: Deployment) -> None:
    dead = [run.run_id for run in unfinished_runs(killed.instance)]
    asked = _tick(killed)
    run = killed.instance.get_run_by_id(dead[0])
    assert run is not None and run.status is dg.DagsterRunStatus.FAILURE
    assert sorted(video for request in asked for video in _videos(request)) == ["a", "b"]
    job = killed.definitions.resolve_job_def(process_videos.name)
    for request in asked:
        assert job.execute_in_process(
            run_config=request.run_config, instance=killed.instance, tags=request.tags,
            asset_selection=list(request.asset_selection or []),
        ).success  # fmt: skip
    assert all(killed.statuses(video_id) == expect() for video_id in killed.rows)
    assert _tick(killed) == []


def _tick(deployment: Deployment) -> list[dg.RunRequest]:
    definitions = deployment.definitions
    with dg.build_sensor_context(
        deployment.instance,
        definitions=definitions,
        sensor_name="due_videos",
        resources={"platform": Platform(s3=S3Resource())},
    ) as context:
        return list(definitions.resolve_sensor_def("due_videos").evaluate_tick(context).run_requests or [])


def _videos(request: dg.RunRequest) -> list[str]:
    return request.run_config["resources"]["chunk"]["config"]["videos"]
