"""Discovery, all at once: every video and clip as a document, and the index over them."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import dagster as dg

from clipfarm_assets.discovery.backfill import backfill, due
from clipfarm_assets.discovery.whole import (
    DOCUMENTS_KEY,
    SCHEMA,
    Gathered,
    Synced,
    gather,
    read_documents,
    sync,
    to_parquet,
    to_table,
)
from clipfarm_assets.graph.agenda import is_made
from clipfarm_assets.graph.chunk import emit_own_events
from clipfarm_assets.graph.clips import scored_clips
from clipfarm_assets.graph.columns import column_schema
from clipfarm_assets.graph.discovery import (
    DISCOVERY_EMBEDDING,
    ENRICHED_METADATA,
    discovery_embedding,
    enriched_metadata,
)
from clipfarm_assets.graph.events import read_events
from clipfarm_assets.graph.fan_in import SEEN, newest_input
from clipfarm_assets.graph.in_flight import mark_process
from clipfarm_assets.graph.index_lag import index_lag, leave_lag
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.metadata.tables import videos_from_table

WRITER_POOL = "search_writer"  # one at a time
_DAYS = 7.0
_AT_ONCE = 100


@dg.asset(
    group_name="discovery", kinds={"parquet"}, owners=["team:data-platform"], code_version="1", pool=WRITER_POOL,
    deps=["video_metadata", enriched_metadata, discovery_embedding, scored_clips], metadata=column_schema(SCHEMA),
)  # fmt: skip
def search_documents(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Every video and clip that can be found, as it is searched: `clipfarm/search/documents.parquet`.

    Texts that persons have edited stand in place of their source's. Clips get their vectors here, as does whatever
    lacks one: `clipfarm/embeddings/discovery/<kind>/<id>.npy`. Where no vector can be had, items are found by words.
    """
    emit_own_events(context)
    workshop, seen = platform.open(), newest_input(context.instance)
    gathered = gather_all(context.instance, workshop)
    table = to_table(gathered.rows)
    workshop.store.put(DOCUMENTS_KEY, to_parquet(table))
    waiting = [row for row in gathered.rows if row.waits]
    if gathered.refusal:
        context.log.error(f"{len(waiting)} items have no vector, and are found by their words: {gathered.refusal}")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": table.num_rows, SEEN: seen, "read": gathered.read, "embedded": gathered.embedded,
            "without_vector": len(waiting), "last_error": next((row.error for row in waiting if row.error), "") or "",
            "parquet": dg.MetadataValue.path(workshop.store.location(DOCUMENTS_KEY)),
        }
    )  # fmt: skip


@dg.asset(
    group_name="discovery", kinds={"lancedb"}, owners=["team:data-platform"], code_version="1", pool=WRITER_POOL,
    deps=[search_documents],
)  # fmt: skip
def search_index(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """The index over all documents, in LanceDB: `clipfarm/search/`. Only what changed is written.

    Another embedding model builds its vectors beside those that serve; the index switches when all are there.
    """
    emit_own_events(context)
    workshop, seen = platform.open(), newest_input(context.instance)
    done = sync(workshop.discovery, read_documents(workshop.store))
    leave_lag(index_lag(context.instance, seen), workshop.database, datetime.now(UTC))
    return dg.MaterializeResult(metadata={SEEN: seen, **index_metadata(done)})


def gather_all(instance: dg.DagsterInstance, workshop: Workshop, *, embed: bool = True) -> Gathered:
    """All documents as they are now; see ``discovery.whole.gather``."""
    videos = [video for video in videos_from_table(workshop.videos_table()) if is_made(video)]
    events = read_events(instance, ENRICHED_METADATA.name)
    outcomes = {video_id: seen.outcome for video_id, seen in events.items()}
    versions = {v: o.data_version for v, o in outcomes.items() if o is not None and o.data_version}

    def awaited(video_ids: Sequence[str]) -> Collection[str]:
        seen = read_events(instance, DISCOVERY_EMBEDDING.name, video_ids)
        return [v for v in video_ids if v not in seen or seen[v].outcome is None]

    return gather(workshop.discovery, videos, versions, embed=embed, awaited=awaited)


def index_metadata(done: Synced) -> dict[str, int | str | bool]:
    """What was done to the index and what it holds, for the UI."""
    facts = done.facts
    return {
        "dagster/row_count": facts.documents, "written": done.written, "deleted": done.deleted,
        "rebuilt": done.rebuilt, "with_vector": facts.with_vector, "unindexed": facts.unindexed,
        "embedding_model": facts.model, "embedding_dim": facts.dim, "waiting_for_another_model": done.waiting,
    }  # fmt: skip


@dg.op
def embed_what_is_missing(context: dg.OpExecutionContext, platform: Platform) -> None:
    """Makes up to 100 missing vectors, those of the last week first and older ones with what is left of the hundred.

    Then makes the index say what the documents say, whatever a killed server or a refused write left behind.
    """
    mark_process(context)
    workshop = platform.open()
    room = workshop.discovery
    if room.embedder() is None:
        context.log.info("Embedding is turned off.")
        return
    rows = gather_all(context.instance, workshop, embed=False).rows
    done = backfill(room, due(rows, datetime.now(UTC), _DAYS, _AT_ONCE), batch=_AT_ONCE)
    said = f"{done.succeeded} made, {done.skipped} were there, {done.failed} failed"
    context.log.info(f"{said}. {done.last_error}".rstrip())
    context.add_output_metadata(
        {**index_metadata(sync(room, rows)), "succeeded": done.succeeded, "failed": done.failed}
    )


@dg.job(executor_def=dg.in_process_executor, tags={"dagster/max_retries": "0"})
def backfill_embeddings() -> None:
    """Makes discovery vectors that are missing. A schedule asks for it every six hours."""
    embed_what_is_missing()


missing_embeddings = dg.ScheduleDefinition(
    name="missing_embeddings", cron_schedule="0 */6 * * *", job=backfill_embeddings,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for discovery vectors that are missing, every six hours.",
)  # fmt: skip
