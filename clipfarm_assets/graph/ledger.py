"""The ledger: one row a video and stage, told from Dagster's own event log."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from clipfarm_assets.database.measurements import replace_all
from clipfarm_assets.graph.chunk import emit_own_events
from clipfarm_assets.graph.columns import column_schema
from clipfarm_assets.graph.delta import NO_EVENTS
from clipfarm_assets.graph.events import forget_cached_status
from clipfarm_assets.graph.fan_in import SEEN, newest_input
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.graph.presentation import markdown_table
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.graph.state import State, no_garbage, read_state
from clipfarm_assets.measures import LEDGER_VIDEOS, series
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.object_store import sweep_temporary

PARQUET_KEY = "clipfarm/state/ledger.parquet"
CSV_KEY = "clipfarm/state/ledger.csv"
METADATA_STAGE = "video_metadata"
_BLOCK = 5_000  # videos made into columns at a time

Row = tuple[str | int | float | None, ...]  # in the order of the schema

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


def read_ledger(instance: dg.DagsterInstance, workshop: Workshop, stages: Sequence[Stage] = STAGES) -> pa.Table:
    """The ledger as of now."""
    with no_garbage():  # over both: between them Python's collector would look through all that was read
        return ledger_table(read_state(instance, workshop, stages), stages)


def ledger_table(state: State, stages: Sequence[Stage] = STAGES) -> pa.Table:
    """Every video in exactly one state per stage, sorted by video and by the graph's order; then the bad rows."""
    with no_garbage():
        blocks = [
            _table(row for video in state.videos[first : first + _BLOCK] for row in _video_rows(video, state, stages))
            for first in range(0, len(state.videos), _BLOCK)
        ]
    return pa.concat_tables([*blocks, _table(_quarantined(state))])


def _table(rows: Iterable[Row]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)


def _video_rows(video: Video, state: State, stages: Sequence[Stage]) -> Iterator[Row]:
    verdicts = state.verdicts.get(video.video_id)
    for stage in stages:
        outcome = state.events[stage.name].get(video.video_id, NO_EVENTS).outcome
        if verdicts is not None:
            verdict = verdicts[stage.name]
            yield _row(video.video_id, stage, verdict.status, outcome, verdict.source_hash)
        else:
            status = Status.REMOVED if video.removed else Status.MISSING_FROM_METADATA
            yield _row(video.video_id, stage, status, outcome, None)


def _row(video_id: str, stage: Stage, status: Status, outcome: Outcome | None, source_hash: str | None) -> Row:
    if outcome is None:
        return (video_id, stage.name, source_hash, status, None, None, None, None, 0, None, None, None, None, None)
    spoken_for = outcome.status is status  # an outcome of an older input says nothing of this one
    versions = outcome.versions
    return (
        video_id,
        stage.name,
        source_hash or outcome.source_hash,
        status,
        outcome.error if spoken_for else None,
        outcome.artifact_key,
        video_id if outcome.artifact_key and outcome.embedding_dim else None,
        outcome.processed_at,
        outcome.retry_count if spoken_for else 0,
        outcome.run_id,
        versions.model_name or None,
        versions.model_version or None,
        versions.preprocess_version or None,
        outcome.duration_sec,
    )


def _quarantined(state: State) -> Iterator[Row]:
    for bad in state.metadata.quarantine.to_pylist():
        error = f"line {bad['line']}: {bad['reason']}"
        of_no_outcome = (None, None, None, 0, None, None, None, None, None)
        yield (bad["video_id"] or "", METADATA_STAGE, None, Status.QUARANTINED, error, *of_no_outcome)


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


def _leave_counts(workshop: Workshop, counts: Mapping[str, Mapping[str, int]]) -> None:
    """For the HTTP server, which shows them to Prometheus."""
    figures = {
        series(LEDGER_VIDEOS, stage=stage, status=status): float(count)
        for stage, of_stage in counts.items()
        for status, count in of_stage.items()
    }
    with workshop.database.write() as session:
        replace_all(session, LEDGER_VIDEOS, figures, datetime.now(UTC))


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
    table = read_ledger(context.instance, workshop)
    workshop.store.put(PARQUET_KEY, to_parquet(table))
    workshop.store.put(CSV_KEY, to_csv(table))
    counts = count_by_stage(table)
    _leave_counts(workshop, counts)
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
