"""The checks of the search index and its evaluation, as a deployment's own Dagster runs and keeps them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from prometheus_client import generate_latest

from clipfarm_assets.discovery.evaluating import REPORT_KEY
from clipfarm_assets.graph import discovery_checks
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.http.app import Backend
from clipfarm_assets.http.metrics import Metrics
from clipfarm_assets.settings import load_settings
from clipfarm_assets_tests.graph.deployment import Deployment, TinyVideos

STAGES = ("enriched_metadata", "discovery_embedding")
BUILD = ("search_documents", "search_index")


@pytest.fixture(scope="module")
def built(tiny: TinyVideos, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Two videos that are found; the last test leaves one of them broken."""
    with pytest.MonkeyPatch.context() as patch:
        made = Deployment(tmp_path_factory.mktemp("checked") / "one", tiny, patch)
        made.add("ace", title="Valorant ace on Haven")
        made.add("bread", title="How to bake sourdough at home")
        made.read_metadata()
        made.materialize(STAGES, ["ace", "bread"])
        materialize(made, *BUILD)
        yield made
        made.instance.dispose()


def materialize(deployment: Deployment, *names: str) -> dg.ExecuteInProcessResult:
    job = deployment.definitions.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(name) for name in names]
    return job.execute_in_process(instance=deployment.instance, asset_selection=keys)


def checked(deployment: Deployment) -> dict[str, dg.AssetCheckEvaluation]:
    """What the hourly run of the checks says."""
    result = deployment.definitions.resolve_job_def("check_search").execute_in_process(instance=deployment.instance)
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def test_all_pass_where_everything_is_found_and_they_come_with_every_build(built: Deployment) -> None:
    found = checked(built)
    assert {name: each.passed for name, each in found.items()} == {
        "discovery_coverage": True, "discovery_failed_share": True, "index_lag": True,
    }  # fmt: skip
    assert found["index_lag"].metadata["outcomes_waiting"].value == 0
    assert "| video | 2 | 2 | 2 | 0 | 100.00% |" in str(found["discovery_coverage"].metadata["coverage"].value)
    with_build = built.definitions.resolve_job_def("fan_in").asset_layer.asset_graph.asset_check_keys
    assert {dg.AssetCheckKey(dg.AssetKey("search_index"), name) for name in found} <= set(with_build)


def test_an_item_that_is_not_found_warns_by_name(built: Deployment) -> None:
    built.workshop.discovery.index.delete(["video/ace"])
    coverage = checked(built)["discovery_coverage"]
    materialize(built, *BUILD)
    assert not coverage.passed and coverage.severity is dg.AssetCheckSeverity.WARN
    assert coverage.metadata["such_as"].value == ["video/ace"]
    assert checked(built)["discovery_coverage"].passed


def test_the_http_server_shows_what_runs_have_counted_and_how_far_the_index_is(built: Deployment) -> None:
    workshop = built.workshop
    backend = Backend(
        workshop.settings, workshop.store, workshop.database, lambda _: None, discovery=workshop.discovery
    )
    lines = set(generate_latest(Metrics(backend).registry).decode().splitlines())
    assert {
        'clipfarm_stage_videos_total{stage="enriched_metadata",status="success"} 2.0',
        'clipfarm_stage_videos_total{stage="discovery_embedding",status="success"} 2.0',
        'clipfarm_embedding_coverage_ratio{modality="discovery"} 1.0',
        "clipfarm_search_index_documents 2.0",
        "clipfarm_search_index_lag_seconds 0.0",
        'clipfarm_source_up{source="database"} 1.0',
    } <= lines
    counted = [line for line in lines if line.startswith("clipfarm_embedding_cache_requests_total")]
    assert sum(float(line.split()[-1]) for line in counted) >= 2


def test_dagster_shows_the_same_figures_as_metadata(built: Deployment) -> None:
    workshop = Workshop(load_settings(), keep_measures=True)
    workshop.measures.query("hybrid", 0.01, empty=False)
    workshop.measures.query("hybrid", 0.03, empty=True)
    workshop.measures.upstream("twitch", "ok", 0.2)
    workshop.measures.upstream("twitch", "denied", 0.4)
    workshop.measures.flush()
    built.materialize(["raw_video"], ["ace"])
    materialize(built, "ledger")
    (event,) = materialize(built, "monitoring").asset_materializations_for_node("monitoring")
    found = {name: value.value for name, value in event.metadata.items()}
    expected = {
        "ingested_last_hour": 1, "coverage_discovery": 1.0, "backlog_discovery": 0, "backlog_video": 2,
        "coverage_video": 0.0, "index_waiting_outcomes": 0, "index_lag_seconds": 0.0, "zero_result_share": 0.5,
    }  # fmt: skip
    assert str(found["services"]).endswith("| twitch | 2 | 1 | 0.3 |")
    assert {name: found[name] for name in expected} == expected
    assert found["cache_hits"] + found["cache_misses"] >= 2
    report = json.loads(workshop.store.get("clipfarm/state/monitoring.json") or b"")
    assert report["queries"]["hybrid"] == {"queries": 2, "zero_result_share": 0.5, "mean_seconds": pytest.approx(0.02)}


def test_without_judgments_the_evaluation_says_so_and_with_them_shows_its_figures(built: Deployment) -> None:
    def evaluated() -> dict[str, dg.MetadataValue]:
        (event,) = materialize(built, "search_evaluation").asset_materializations_for_node("search_evaluation")
        return dict(event.metadata)

    none = evaluated()
    assert set(none) == {"judgments"} and "CLIPFARM_SEARCH_JUDGMENTS" in str(none["judgments"].value)
    path = built.folder / "judged.csv"
    rows = ["valorant ace,ace,2", *(f"valorant ace,video/gone-{n},{n}" for n in (4, 3, 1, 0))]
    path.write_text("\n".join(["query,item,relevance", *rows, "making a loaf in your own oven,bread,4"]))
    built.set("CLIPFARM_SEARCH_JUDGMENTS", path)
    found = evaluated()
    assert found["text_ndcg_5"].value == pytest.approx(0.14 / 2, abs=0.005)
    assert found["semantic_mrr"].value == 1.0 and found["hybrid_recall"].value == pytest.approx((1 / 3 + 1) / 2)
    assert "| hybrid | " in str(found["quality"].value)
    report = json.loads(built.workshop.store.get(REPORT_KEY) or b"")
    assert report["quality"]["hybrid"]["mrr"] == 1.0
    built.monkeypatch.delenv("CLIPFARM_SEARCH_JUDGMENTS")
    assert set(evaluated()) == {"judgments"} and built.workshop.store.get(REPORT_KEY) is None


def test_failures_above_a_hundredth_and_an_index_left_behind_warn(
    built: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.workshop.store.delete("clipfarm/enriched/bread.json")
    built.materialize(["discovery_embedding"], ["bread"], force=True)
    found = checked(built)
    assert not found["discovery_failed_share"].passed
    assert found["discovery_failed_share"].metadata["worst_share"].value == 0.5
    assert found["index_lag"].passed and found["index_lag"].metadata["outcomes_waiting"].value == 1

    class TwoHoursLater(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(hours=2)

    monkeypatch.setattr(discovery_checks, "datetime", TwoHoursLater)
    lag = checked(built)["index_lag"]
    assert not lag.passed and lag.metadata["lag_seconds"].value >= 7_200
