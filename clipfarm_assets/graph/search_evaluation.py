"""How good the search is, by judgments that the deployment's people bring."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from clipfarm_assets.discovery.evaluating import MODES, REPORT_KEY, Evaluation, evaluate
from clipfarm_assets.graph.chunk import emit_own_events
from clipfarm_assets.graph.platform import Platform
from clipfarm_assets.graph.presentation import cell, markdown_table
from clipfarm_assets.graph.search_index import search_index
from clipfarm_assets.search.evaluation import Quality
from clipfarm_assets.search.judgments import read_judgments
from clipfarm_assets.settings import Settings, load_settings
from clipfarm_assets.store.artifacts import content_sha256

_FIGURES = {
    "ndcg_5": "nDCG@5", "ndcg_10": "nDCG@10", "mrr": "MRR", "precision_5": "P@5", "precision": "P@10",
    "recall_5": "R@5", "recall": "R@10",
}  # fmt: skip
_WORST = 10
_NONE = "There are no judgments: CLIPFARM_SEARCH_JUDGMENTS names no file, so nothing was measured."


@dg.asset(
    group_name="discovery", kinds={"report"}, owners=["team:data-platform"], code_version="1", deps=[search_index]
)
def search_evaluation(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """How good the answers are, by the judgments in `CLIPFARM_SEARCH_JUDGMENTS`: `clipfarm/search/evaluation.json`.

    nDCG, MRR, precision and recall over the first ten answers of the index that serves, by words, by meaning and by
    both. Without judgments, or without vectors for the queries, nothing is measured, and the metadata says so.
    """
    emit_own_events(context)
    workshop = platform.open()
    path = workshop.settings.search_judgments
    if path is None:
        workshop.store.delete(REPORT_KEY)  # figures of judgments that are gone are nobody's
        return dg.MaterializeResult(metadata={"judgments": dg.MetadataValue.text(_NONE)})
    found = evaluate(workshop.discovery, read_judgments(path), datetime.now(UTC))
    workshop.store.put(REPORT_KEY, _report(found, path))
    return dg.MaterializeResult(metadata=_metadata(found, path))


def _metadata(found: Evaluation, path: Path) -> dict[str, dg.MetadataValue]:
    worst = sorted(found.ndcg_10, key=lambda query: (min(found.ndcg_10[query].values(), default=0.0), query))[:_WORST]
    rows = [[cell(query), *(_shown(found.ndcg_10[query].get(mode)) for mode in MODES)] for query in worst]
    metadata: dict[str, dg.MetadataValue] = {
        "judgments": dg.MetadataValue.path(str(path)),
        "queries": dg.MetadataValue.int(len(found.ndcg_10)),
        "judged": dg.MetadataValue.int(found.judged),
        "quality": dg.MetadataValue.md(_table(found)),
        "worst_queries": dg.MetadataValue.md(markdown_table(["query, by nDCG@10", *MODES], rows)),
        "left_out": dg.MetadataValue.json(list(found.left_out)),
        "judged_and_not_indexed": dg.MetadataValue.json(list(found.not_indexed)),
        "index": dg.MetadataValue.text(f"{found.facts.documents} items, {found.facts.with_vector} with a vector"),
        "embedding_model": dg.MetadataValue.text(found.facts.model),
    }
    for mode, of_mode in found.quality.items():
        metadata |= {f"{mode}_{name}": dg.MetadataValue.float(getattr(of_mode, name)) for name in _FIGURES}
    for mode, why in found.unmeasured.items():
        metadata[f"{mode}_unmeasured"] = dg.MetadataValue.text(why)
    return metadata


def _table(found: Evaluation) -> str:
    rows = [[mode, *_cells(found.quality.get(mode)), cell(found.unmeasured.get(mode, ""))] for mode in MODES]
    return markdown_table(["search", *_FIGURES.values(), "not measured, since"], rows)


def _cells(of_mode: Quality | None) -> list[str]:
    return [_shown(None if of_mode is None else getattr(of_mode, name)) for name in _FIGURES]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _report(found: Evaluation, path: Path) -> bytes:
    report = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "judgments_sha256": content_sha256(path),
        "index": asdict(found.facts), "quality": {mode: asdict(of_mode) for mode, of_mode in found.quality.items()},
        "unmeasured": dict(found.unmeasured), "ndcg_10": found.ndcg_10, "left_out": found.left_out,
        "judged_and_not_indexed": found.not_indexed,
    }  # fmt: skip
    return json.dumps(report, indent=1, ensure_ascii=False).encode()


evaluate_search = dg.define_asset_job(
    "evaluate_search", dg.AssetSelection.assets(search_evaluation), tags={"dagster/max_retries": "0"},
    description="Measures the search against the judgments of this deployment.",
)  # fmt: skip


@dg.schedule(
    cron_schedule="0 4 * * *", job=evaluate_search, default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Measures the search every night, where there are judgments.",
)  # fmt: skip
def search_quality() -> dg.RunRequest | dg.SkipReason:
    """Asks for the evaluation where a file of judgments is named."""
    settings: Settings = load_settings()
    return dg.SkipReason(_NONE) if settings.search_judgments is None else dg.RunRequest()
