"""Clips in the graph: from a row to ranked clips, and what people ask for is made whoever dies."""

import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clipfarm_assets.clips.book import (
    Edit,
    create_batch,
    default_batch_id,
    edit_clip,
    get_batch,
    get_clip,
    list_batches,
    list_clips,
)
from clipfarm_assets.clips.jobs import create_export_job, get_job
from clipfarm_assets.clips.model import GRADES, BatchConfig, LengthPreset, Timeframe
from clipfarm_assets.clips.work import list_exports, note_launch
from clipfarm_assets.database.clip_tables import ClipBatch
from clipfarm_assets.fusion.build import build_fused
from clipfarm_assets.graph.clip_sensor import due_jobs
from clipfarm_assets.graph.clip_trend import views_of
from clipfarm_assets.graph.jobs import chunk_config
from clipfarm_assets.graph.launch import Launcher
from clipfarm_assets.graph.removal import forget_videos
from clipfarm_assets.media.frames import frames_at
from clipfarm_assets_tests.fusion.corpus import Corpus
from clipfarm_assets_tests.graph.conftest import NewDeployment
from clipfarm_assets_tests.graph.deployment import PROJECT, Deployment
from clipfarm_assets_tests.journeys.deployment import Graph

SAMPLES = PROJECT / "data" / "samples"
RAW = ("raw_video", "raw_audio", "raw_text", "scene_segments")
CLIPS = ("scored_clips", "clip_thumbnails")
TALK = "podcast-habits"
KILLED = -signal.SIGKILL

WORKER = """
import os, threading, time
import dagster as dg
from clipfarm_assets.clips import scoring
from clipfarm_assets.clips.jobs import get_job
from clipfarm_assets.definitions import build
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.settings import load_settings

def die(*_, **__):
    os.kill(os.getpid(), 9)

def die_when_begun(job_id):
    database = Workshop(load_settings()).database
    while get_job(database, job_id).progress == 0:
        time.sleep(0.02)
    die()

{fault}
with dg.DagsterInstance.get() as instance:
    build(load_settings()).resolve_job_def("{job}").execute_in_process(instance=instance)
"""


def now() -> datetime:
    return datetime.now(UTC)


def add_sample(deployment: Deployment, name: str, **more: str) -> None:
    for path in SAMPLES.glob(f"{name}.*"):
        shutil.copy(path, deployment.media)
    row = {"url": f"{name}.mp4", "title": "Small habits", "captured_at": "2026-01-01T00:00:00Z", "language": "en"}
    sidecar = next((ending for ending in ("json", "srt", "vtt") if (SAMPLES / f"{name}.{ending}").exists()), None)
    deployment.rows[name] = row | ({"transcript_path": f"{name}.{sidecar}"} if sidecar else {}) | more


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory, tiny: object) -> Deployment:
    """A deployment with one sample whose raw artifacts are made; only for tests that leave it as it is."""
    with pytest.MonkeyPatch.context() as patch:
        made = Deployment(tmp_path_factory.mktemp("talk") / "one", tiny, patch)  # type: ignore[arg-type]
        add_sample(made, TALK, video_type="podcast", published_at="2025-12-01T00:00:00Z")
        made.read_metadata()
        assert made.materialize(RAW, [TALK]).success
        made.instance.dispose()
    return made


@pytest.fixture
def deployment(new_deployment: NewDeployment, talk: Deployment) -> Deployment:
    """A copy of it."""
    made = new_deployment()
    made.instance.dispose()
    os.chdir("/")
    shutil.rmtree(made.folder)
    shutil.copytree(talk.folder, made.folder)
    made.enter()  # the folder is another one now
    made.rows = {name: dict(row) for name, row in talk.rows.items()}
    made.instance = type(talk.instance).from_config(str(made.home))
    made.read_metadata()
    return made


@pytest.fixture
def graph(deployment: Deployment) -> Graph:
    return Graph(deployment.instance, deployment.definitions)


def new_batch(deployment: Deployment, preset: LengthPreset = LengthPreset.UP_TO_30) -> ClipBatch:
    return create_batch(deployment.workshop.database, TALK, BatchConfig(clip_length_preset=preset), now())[0]


def obey_once(graph: Graph) -> list[str]:
    """One tick of the sensor, and the runs that it asks for; their jobs."""
    asked = graph.tick("due_clips")
    assert all(graph.execute(request).success for request in asked.runs)
    return [str(request.job_name) for request in asked.runs]


def run_worker(deployment: Deployment, job: str, fault: str) -> int:
    """A run in a process of its own; how it ended."""
    program = [sys.executable, "-c", WORKER.format(job=job, fault=fault)]
    return subprocess.run(program, cwd=deployment.folder, env=os.environ.copy(), timeout=300, check=False).returncode


def test_a_sample_becomes_ranked_clips_with_thumbnails_and_is_not_made_twice(deployment: Deployment) -> None:
    assert deployment.materialize(CLIPS, [TALK]).success
    table = pq.read_table(io.BytesIO(deployment.workshop.store.get(f"clipfarm/clips/{TALK}.parquet") or b""))
    clips = list_clips(deployment.workshop.database, default_batch_id(TALK))
    assert [clip.id for clip in clips] == table["clip_id"].to_pylist() and len(clips) >= 2
    assert get_batch(deployment.workshop.database, default_batch_id(TALK)).config_json["video_type"] == "podcast"
    for clip in clips:
        assert 15 <= clip.duration_sec <= 60 and 1 <= len(clip.title) <= 60
        assert clip.viral_score is not None and clip.grade_trend is None
        assert "No fused vector" in clip.score_parts["missing"]["local.trend"]
        picture = np.asarray(Image.open(io.BytesIO(deployment.workshop.store.get(clip.thumbnail_path or "") or b"")))
        middle = frames_at(SAMPLES / f"{TALK}.mp4", [(clip.start_time_sec + clip.end_time_sec) / 2]).images[0]
        small = np.asarray(Image.fromarray(middle).resize(picture.shape[1::-1]))
        assert np.abs(picture.astype(float) - small).mean() < 6
    before = deployment.identity(TALK, "scored_clips")
    assert deployment.materialize(CLIPS, [TALK]).success
    assert deployment.identity(TALK, "scored_clips") == before
    assert len(list_batches(deployment.workshop.database, TALK)) == 1


def test_another_title_scores_again_without_embedding_and_leaves_what_a_person_edited(deployment: Deployment) -> None:
    deployment.materialize(CLIPS, [TALK])
    database = deployment.workshop.database
    before = list_clips(database, default_batch_id(TALK))
    first = before[0]
    edit_clip(database, first.id, Edit(title="Mine"), now())
    deployment.change(TALK, title="Another title of the talk")
    deployment.read_metadata()
    [work] = deployment.state().agenda.work
    assert "scored_clips" in work.stages and get_clip(database, first.id).status == "edited"
    assert deployment.materialize(CLIPS, [TALK]).success
    again = {clip.id: clip for clip in list_clips(database, default_batch_id(TALK))}
    assert (again[first.id].title, again[first.id].status, len(again)) == ("Mine", "edited", len(before))
    assert not {"raw_video", "raw_audio", "raw_text", "scene_segments"} & set(work.stages)


@pytest.mark.slow
def test_the_shipped_talk_becomes_five_clips_or_more_that_keep_the_contract(new_deployment: NewDeployment) -> None:
    """The other samples are shorter than five of the shortest clips."""
    made = new_deployment()
    name = "talk-checklists"
    add_sample(made, name, video_type="talking_head")
    made.read_metadata()
    assert made.materialize([*RAW, *CLIPS], [name]).success
    database = made.workshop.database
    config = BatchConfig(
        clip_length_preset=LengthPreset.UP_TO_30, processing_timeframe=Timeframe(start=40.0, end=250.5)
    )
    asked = create_batch(database, name, config, now())[0]
    assert obey_once(Graph(made.instance, made.definitions)) == ["make_clips"]
    cues = json.loads((SAMPLES / f"{name}.json").read_text())["cues"]
    words = [(word["start"], word["end"]) for cue in cues for word in cue["words"]]
    bounds = {default_batch_id(name): (15, 60, 0.0, 296.834), asked.id: (10, 30, 40.0, 250.5)}
    for batch_id, (shortest, longest, first, last) in bounds.items():
        clips = sorted(list_clips(database, batch_id), key=lambda clip: clip.start_time_sec)
        assert len(clips) >= 5 and get_batch(database, batch_id).status == "ready"
        assert all(one.end_time_sec <= other.start_time_sec for one, other in itertools.pairwise(clips))
        for clip in clips:
            edges = (clip.start_time_sec, clip.end_time_sec)
            assert shortest <= clip.duration_sec <= longest and first <= edges[0] < edges[1] <= last
            assert not [word for word in words for edge in edges if word[0] + 1e-3 < edge < word[1] - 1e-3]
            assert 1 <= len(clip.title) <= 60 and clip.thumbnail_path and clip.transcript_preview
            assert clip.viral_score is not None and 0 <= clip.viral_score <= 10
            assert clip.viral_score == round(clip.viral_score, 1)
            assert {clip.grade_hook, clip.grade_flow, clip.grade_value} <= set(GRADES)


@pytest.mark.slow
def test_clips_get_their_trend_when_fused_vectors_first_appear_and_nothing_else_is_made_again(
    deployment: Deployment, graph: Graph
) -> None:
    """Nine older videos, of which only the row and the vector are there, were watched before the talk came out."""
    row = {"published_at": "2025-09-01T00:00:00Z", "captured_at": "2025-11-01T00:00:00Z"}
    older = {f"v{n}": row | {"url": f"v{n}.mp4", "view_count": str(1000 * n)} for n in range(9)}
    deployment.rows |= older
    deployment.read_metadata()
    deployment.materialize(CLIPS, [TALK])
    asked = new_batch(deployment)
    obey_once(graph)
    database = deployment.workshop.database
    batch_ids = [default_batch_id(TALK), asked.id]
    before = {clip.id: clip for batch_id in batch_ids for clip in list_clips(database, batch_id)}
    assert all("No fused vector" in clip.score_parts["missing"]["local.trend"] for clip in before.values())
    mine = list_clips(database, asked.id)[0].id
    edit_clip(database, mine, Edit(title="Mine"), now())
    raw = {stage: deployment.identity(TALK, stage) for stage in RAW}

    corpus = Corpus(deployment.workshop.store)
    for video_id in (TALK, *older):
        corpus.add(video_id)
    build_fused(corpus.store, ["concat"], corpus.manifests())
    assert sorted(obey_once(graph)) == ["make_clips", "process_videos"]
    after = {clip.id: clip for batch_id in batch_ids for clip in list_clips(database, batch_id)}
    assert after.keys() == before.keys()
    for clip in after.values():
        trend, was = clip.score_parts["local"]["parts"]["trend"], before[clip.id]
        assert (clip.start_time_sec, clip.thumbnail_path) == (was.start_time_sec, was.thumbnail_path)
        if clip.id == mine:
            assert (clip.grade_trend, clip.title, clip.viral_score) == (None, "Mine", was.viral_score)
        else:
            assert clip.grade_trend and clip.viral_score is not None and "v" in trend["evidence"][0]["what"]
            assert clip.score_parts["local"]["parts"]["hook"] == was.score_parts["local"]["parts"]["hook"]
    table = pq.read_table(io.BytesIO(deployment.workshop.store.get(f"clipfarm/clips/{TALK}.parquet") or b""))
    assert table["clip_id"].to_pylist() == [clip.id for clip in list_clips(database, batch_ids[0])]
    assert None not in table["grade_trend"].to_pylist()
    assert {stage: deployment.identity(TALK, stage) for stage in RAW} == raw
    graph.cursors.clear()
    assert obey_once(graph) == []


def test_default_batches_can_be_switched_off_and_on_again(deployment: Deployment) -> None:
    deployment.set("CLIPFARM_DEFAULT_CLIPS", "false")
    assert deployment.materialize(CLIPS, [TALK]).success
    assert {deployment.statuses(TALK)[name] for name in CLIPS} == {"turned_off"}
    assert list_batches(deployment.workshop.database, TALK) == []
    deployment.set("CLIPFARM_DEFAULT_CLIPS", "true")
    assert "scored_clips" in deployment.state().agenda.work[0].stages
    assert deployment.materialize(CLIPS, [TALK]).success
    assert deployment.statuses(TALK)["scored_clips"] == "success"


def test_a_draft_that_dagster_was_not_told_of_is_taken_up_by_the_sensor(deployment: Deployment, graph: Graph) -> None:
    batch = new_batch(deployment)
    database = deployment.workshop.database
    launcher = Launcher("http://127.0.0.1:9")
    launched = launcher.launch("score_batch")
    assert launched.run_id is None and "cannot be reached" in (launched.why or "")
    assert launcher.launch("score_batch") == launched  # nobody waits for it again
    job_id = create_batch(database, TALK, BatchConfig.model_validate(batch.config_json), now(), batch_id=batch.id)[1].id
    note_launch(database, job_id, launched, now())
    assert "cannot be reached" in (get_job(database, job_id).error_message or "")
    assert obey_once(graph) == ["make_clips"]
    assert get_batch(database, batch.id).status == "ready" and get_job(database, job_id).status == "done"
    clips = list_clips(database, batch.id)
    assert clips and all(10 <= clip.duration_sec <= 30 and clip.thumbnail_path for clip in clips)
    assert obey_once(graph) == []


def test_a_batch_waits_for_its_video_and_fails_where_there_will_be_none(
    new_deployment: NewDeployment,
) -> None:
    made = new_deployment()
    made.add("later")
    made.add("broken")
    (made.media / "broken.mp4").write_bytes(b"no video")
    made.read_metadata()
    graph = Graph(made.instance, made.definitions)
    database = made.workshop.database
    ids = {name: create_batch(database, name, BatchConfig(), now()) for name in ("later", "broken", "unknown")}
    made.materialize(["raw_video"], ["broken"])
    assert obey_once(graph) == ["make_clips"]
    assert {name: get_batch(database, batch.id).status for name, (batch, _) in ids.items()} == {
        "later": "draft", "broken": "failed", "unknown": "failed",
    }  # fmt: skip
    assert "Waits for raw_video" in (get_job(database, ids["later"][1].id).error_message or "")
    assert "raw_video of this video has failed" in (get_job(database, ids["broken"][1].id).error_message or "")
    assert obey_once(graph) == []
    made.materialize(RAW, ["later"])
    assert obey_once(graph) == ["make_clips"]
    found = get_batch(database, ids["later"][0].id)
    assert found.status == "ready" and "No clip fits" in (found.error_message or "")


@pytest.mark.slow
def test_a_worker_killed_while_it_scores_leaves_a_batch_that_the_next_tick_finishes(
    deployment: Deployment, graph: Graph
) -> None:
    batch = new_batch(deployment)
    database = deployment.workshop.database
    assert run_worker(deployment, "make_clips", "scoring.find_windows = die") == KILLED
    assert get_batch(database, batch.id).status == "processing"
    assert obey_once(graph) == ["make_clips"]
    assert get_batch(database, batch.id).status == "ready" and list_clips(database, batch.id)
    assert obey_once(graph) == []


@pytest.mark.slow
def test_a_worker_killed_while_it_exports_leaves_an_export_that_the_next_tick_finishes(
    deployment: Deployment, graph: Graph
) -> None:
    batch = new_batch(deployment)
    obey_once(graph)
    database, store = deployment.workshop.database, deployment.workshop.store
    clip = min(list_clips(database, batch.id), key=lambda clip: clip.duration_sec)
    job = create_export_job(database, clip.id, now())
    watch = f'threading.Thread(target=die_when_begun, args=("{job.id}",)).start()'
    assert run_worker(deployment, "export_clips", watch) == KILLED
    assert get_job(database, job.id).status == "running" and list_exports(database, clip.id)[0].video_path is None
    assert obey_once(graph) == ["export_clips"]
    found, [export] = get_job(database, job.id), list_exports(database, clip.id)
    assert (found.status, found.progress, export.status) == ("done", 1.0, "ready")
    assert get_clip(database, clip.id).status == "exported"
    content = store.get(export.video_path or "") or b""
    with av.open(io.BytesIO(content)) as media:
        stream = media.streams.video[0]
        assert (stream.width, stream.height) == (export.width, export.height) == (1080, 1920)
        assert float(media.duration or 0) / 1e6 == pytest.approx(clip.duration_sec, abs=0.1)
    assert b" --> " in (store.get(export.subtitles_path or "") or b"")
    assert due_jobs(deployment.instance, deployment.workshop) == {}


def test_a_removed_video_takes_its_batches_clips_and_files_along(deployment: Deployment, graph: Graph) -> None:
    deployment.materialize(CLIPS, [TALK])
    new_batch(deployment)
    obey_once(graph)
    folder = Path(deployment.folder / "store" / "clipfarm" / "clips")
    assert list(folder.rglob("*.jpg"))
    deployment.change(TALK, removed="true", captured_at="2026-02-01T00:00:00Z")
    deployment.read_metadata()
    job = deployment.definitions.resolve_job_def(forget_videos.name)
    assert job.execute_in_process(run_config=chunk_config([TALK]), instance=deployment.instance).success
    assert list_batches(deployment.workshop.database, TALK) == []
    assert {path.name for path in folder.rglob("*") if path.is_file()} <= {"clip_batches.parquet"}


def test_the_calibration_says_why_there_is_none_yet(deployment: Deployment, graph: Graph) -> None:
    deployment.materialize(CLIPS, [TALK])
    result = graph.materialize("score_calibration")
    [event] = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["videos"].value == 1 and metadata["found"].value is False
    assert "10 are needed" in str(metadata["correlations"].value)
    assert metadata["left_out"].value == {"no horizon": 1}


def test_views_are_those_of_the_snapshots_and_of_the_horizon_at_its_moment(deployment: Deployment) -> None:
    deployment.change(
        TALK, published_at="2025-12-01T00:00:00Z", view_count="70", horizon_days="30", horizon_view_count="90"
    )
    deployment.read_metadata()
    found = views_of(deployment.workshop.metadata().snapshots)[TALK]
    assert found.published_at == datetime(2025, 12, 1, tzinfo=UTC)
    assert found.counts == ((datetime(2025, 12, 31, tzinfo=UTC), 90), (datetime(2026, 1, 1, tzinfo=UTC), 70))
