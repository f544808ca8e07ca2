"""The ledger: one row a video and stage, told from Dagster's own event log."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from clipfarm_assets.graph.chunk import emit_own_events
from clipfarm_assets.graph.columns import column_schema
from clipfarm_assets.graph.delta import NO_EVENTS
from clipfarm_assets.graph.events import forget_cached_status
from clipfarm_assets.graph.fan_in import SEEN, newest_input
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.graph.platform import Platform
from clipfarm_assets.graph.presentation import markdown_table
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.graph.state import State, read_state
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.object_store import sweep_temporary

PARQUET_KEY = "clipfarm/state/ledger.parquet"
CSV_KEY = "clipfarm/state/ledger.csv"
METADATA_STAGE = "video_metadata"

SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("stage", pa.string()),
        ("source_hash", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("artifact_key", pa.string()),
        ("vector_id", pa.string()),
        ("processed_at", pa.string()),
        ("retry_count", pa.int32()),
        ("run_id", pa.string()),
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("preprocess_version", pa.string()),
        ("duration", pa.float64()),
    ]
)


def ledger_table(state: State, stages: Sequence[Stage] = STAGES) -> pa.Table:
    """Every video in exactly one state per stage, sorted by video and by the graph's order; then the bad rows."""
    rows = [row for video in state.videos for row in _video_rows(video, state, stages)]
    return pa.Table.from_pylist([*rows, *_quarantined(state)], schema=SCHEMA)


def _video_rows(video: Video, state: State, stages: Sequence[Stage]) -> Iterator[dict[str, Any]]:
    for stage in stages:
        outcome = state.events[stage.name].get(video.video_id, NO_EVENTS).outcome
        if video.removed:
            yield _row(video.video_id, stage, Status.REMOVED, outcome, None)
        elif video.presence == "missing":
            yield _row(video.video_id, stage, Status.MISSING_FROM_METADATA, outcome, None)
        else:
            verdict = state.verdicts[video.video_id][stage.name]
            yield _row(video.video_id, stage, verdict.status, outcome, verdict.source_hash)


def _row(
    video_id: str, stage: Stage, status: Status, outcome: Outcome | None, source_hash: str | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"video_id": video_id, "stage": stage.name, "status": status.value, "retry_count": 0}
    row["source_hash"] = source_hash
    if outcome is None:
        return row
    spoken_for = outcome.status is status  # an outcome of an older input says nothing of this one
    return row | {
        "source_hash": source_hash or outcome.source_hash,
        "error": outcome.error if spoken_for else None,
        "artifact_key": outcome.artifact_key,
        "vector_id": video_id if outcome.artifact_key and stage.model else None,
        "processed_at": outcome.processed_at,
        "retry_count": outcome.retry_count if spoken_for else 0,
        "run_id": outcome.run_id,
        "model_name": outcome.versions.model_name or None,
        "model_version": outcome.versions.model_version or None,
        "preprocess_version": outcome.versions.preprocess_version or None,
        "duration": outcome.duration_sec,
    }


def _quarantined(state: State) -> Iterator[dict[str, Any]]:
    for bad in state.metadata.quarantine.to_pylist():
        yield {
            "video_id": bad["video_id"] or "",
            "stage": METADATA_STAGE,
            "status": Status.QUARANTINED.value,
            "error": f"line {bad['line']}: {bad['reason']}",
            "retry_count": 0,
        }


def to_parquet(table: pa.Table) -> bytes:
    """The ledger as zstd Parquet."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def to_csv(table: pa.Table) -> bytes:
    """The ledger as CSV with a header."""
    sink = io.BytesIO()
    pa_csv.write_csv(table, sink)
    return sink.getvalue()


def count_by_stage(table: pa.Table) -> dict[str, dict[str, int]]:
    """Videos by stage and status."""
    counts: dict[str, dict[str, int]] = {}
    for group in table.group_by(["stage", "status"]).aggregate([("video_id", "count")]).to_pylist():
        counts.setdefault(group["stage"], {})[group["status"]] = group["video_id_count"]
    return counts


@dg.asset(
    group_name="state",
    kinds={"parquet"},
    owners=["team:data-platform"],
    code_version="1",
    deps=[stage.name for stage in STAGES],
    metadata=column_schema(SCHEMA),
)
def ledger(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """What happened to every video in every stage: status, error, tries, run, model and duration.

    Told from Dagster's event log at the moment of the run and exported as Parquet and CSV under `clipfarm/state/`.
    `clipfarm ledger` prints the same rows, always as they are now.
    """
    emit_own_events(context)
    seen = newest_input(context.instance)
    for stage in STAGES:  # all is quiet now: whatever a look at the UI cached in the middle of a run is counted anew
        forget_cached_status(context.instance, stage.name)
    workshop = platform.open()
    context.log.info(f"Swept what killed processes left: {workshop.store.sweep()} files, {sweep_temporary()} folders.")
    table = ledger_table(read_state(context.instance, workshop, STAGES))
    workshop.store.put(PARQUET_KEY, to_parquet(table))
    workshop.store.put(CSV_KEY, to_csv(table))
    counts = count_by_stage(table)
    statuses = sorted({status for of_stage in counts.values() for status in of_stage})
    rows = [[stage, *(str(of_stage.get(status, 0)) for status in statuses)] for stage, of_stage in counts.items()]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": table.num_rows,
            SEEN: seen,
            "by_stage": dg.MetadataValue.md(markdown_table(["stage", *statuses], rows)),
            "parquet": dg.MetadataValue.path(workshop.store.location(PARQUET_KEY)),
        }
    )
