"""What Prometheus scrapes: figures that other processes have left, sources that are away, labels that stay few."""

import shutil
import subprocess
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest

from clipfarm_assets.database.connect import open_database
from clipfarm_assets.database.measurements import add
from clipfarm_assets.http.app import Backend, create_app
from clipfarm_assets.http.figures import FRESH_SEC, StoredFigures
from clipfarm_assets.http.metrics import Metrics, measure, metrics
from clipfarm_assets.measures import series
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.http.told import NOW, backend, full_backend, samples


@pytest.fixture
def full(tmp_path: Path, local_store: ObjectStore) -> Backend:
    return full_backend(tmp_path, local_store)


def shown(of: Backend) -> dict[str, float]:
    return samples(generate_latest(Metrics(of).registry).decode())


def test_figures_of_other_processes_are_shown_from_what_they_stored(full: Backend) -> None:
    found = shown(full)
    for name, value in {
        "clipfarm_stage_videos_total{stage=raw_video,status=success}": 7,
        "clipfarm_embedding_cache_requests_total{result=hit}": 3,
        "clipfarm_upstream_requests_total{api=twitch,outcome=rate_limited}": 1,
        "clipfarm_upstream_request_duration_seconds_bucket{api=twitch,le=0.25}": 1,
        "clipfarm_upstream_request_duration_seconds_bucket{api=twitch,le=60}": 1,
        "clipfarm_upstream_request_duration_seconds_count{api=twitch}": 2,
        "clipfarm_upstream_request_duration_seconds_sum{api=twitch}": 70.2,
        "clipfarm_embedding_coverage_ratio{modality=audio}": 7 / 8,  # what is removed is not waited for
        "clipfarm_embedding_backlog_items{modality=audio}": 1,
        "clipfarm_embedding_backlog_items{modality=discovery}": 1,  # what says nothing has no vector to wait for
        "clipfarm_embedding_coverage_ratio{modality=discovery}": 2 / 3,
        "clipfarm_search_index_waiting_outcomes": 5,
        "clipfarm_search_quality_ratio{figure=ndcg_10,mode=hybrid}": 0.9,
        "clipfarm_search_zero_results_total{kind=hybrid}": 0,
    }.items():
        assert found[name] == pytest.approx(value), name
    assert found["clipfarm_search_index_lag_seconds"] >= 3 * 3600
    assert found["clipfarm_graph_last_seen_timestamp_seconds"] == pytest.approx(NOW.timestamp())


def test_a_source_that_is_away_is_told_and_leaves_no_figures(full: Backend, tmp_path: Path) -> None:
    nobody = backend(full.store, open_database("postgresql://nobody@127.0.0.1:1/none"))
    found = shown(nobody)
    up = {name: found[f"clipfarm_source_up{{source={name}}}"] for name in ("database", "index", "store")}
    assert up == {"database": 0, "index": 1, "store": 1}
    assert "clipfarm_search_index_documents" in found
    assert not [name for name in found if "stage_videos" in name or "index_lag" in name or "audio" in name]


def test_a_look_is_kept_for_seconds_and_then_taken_again(full: Backend) -> None:
    clock = [0.0]
    registry = CollectorRegistry()
    registry.register(StoredFigures(full, lambda: clock[0]))
    name = "clipfarm_embedding_cache_requests_total{result=hit}"

    def hits() -> float:
        return samples(generate_latest(registry).decode())[name]

    assert hits() == 3
    with full.database.write() as session:
        add(session, {series("embedding_cache_requests", result="hit"): 1.0}, NOW)
    assert hits() == 3
    clock[0] += FRESH_SEC + 1
    assert hits() == 4


def test_what_a_caller_makes_up_is_no_label(full: Backend) -> None:
    app = create_app(full, metrics)
    measure(app)
    client = TestClient(app)
    for number in range(5):
        client.request(f"MADEUP{number}", f"/nowhere/{number}")
        client.get(f"/media/videos/{number}")
    found = samples(client.get("/metrics").text)
    requests = {name for name in found if name.startswith("http_requests_total")}
    assert requests == {
        "http_requests_total{method=other,route=unknown,status=404}",
        "http_requests_total{method=GET,route=/media/videos/{video_id},status=404}",
    }


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_say_of_the_exposition(full: Backend) -> None:
    text = generate_latest(Metrics(full).registry)
    found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (found.returncode, found.stdout.decode() + found.stderr.decode()) == (0, "")
