"""Clusters of each team's segments, and the Tasks that they become: one partition a team."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipfarm_assets.embeddings.vectors import rows_from_npy
from clipfarm_assets.errors import MissingRawObject
from clipfarm_assets.graph.chunk import emit_own_events
from clipfarm_assets.graph.columns import column_schema
from clipfarm_assets.graph.imports import IMPORT, import_keys, imported_segments
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.graph.presentation import cell, markdown_table, picture_markdown
from clipfarm_assets.graph.segments import SEGMENT_EMBEDDING, SEGMENTS, segment_embedding
from clipfarm_assets.graph.teams import (
    REVISION,
    Sources,
    clusters_key,
    enabled,
    gone_sources,
    read_sources,
    tasks_key,
    team_of,
    teams,
)
from clipfarm_assets.segments.table import read_segments, said_rows
from clipfarm_assets.tasks.book import forget_source, revisions, taken_in
from clipfarm_assets.tasks.labelling import LabelReport, label_team
from clipfarm_assets.tasks.map import segments_map
from clipfarm_assets.tasks.parameters import clustering_parameters
from clipfarm_assets.tasks.run import Described, RunReport, Source, cluster_team
from clipfarm_assets.tasks.upkeep import consolidate_team
from clipfarm_assets.tasks.vectors import normalize
from clipfarm_assets.tasks.views import CLUSTERS_SCHEMA, TASKS_SCHEMA, Ranked, clusters_table, ranked, tasks_table

_SHOWN_TASKS = 30
_MAPPED_SEGMENTS = 1500
_POOL = "task_writer"  # one run at a time; where nobody keeps to it, the database's compare-and-set does
_ALL = dg.AllPartitionMapping()


@dg.asset(
    partitions_def=teams, group_name="tasks", kinds={"parquet", "sqlalchemy"}, owners=["team:data-platform"],
    code_version="1", pool=_POOL, metadata=column_schema(CLUSTERS_SCHEMA),
    deps=[dg.AssetDep(segment_embedding, partition_mapping=_ALL), imported_segments],
)  # fmt: skip
def clusters(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Which Task each segment of a team belongs to: in the database, and as `clipfarm/clusters/<team>.parquet`.

    Takes in the segments that are new or described anew: near a Task they join it, near each other they open one, and
    grave ones open one alone; the rest waits for the next run. Near-duplicate Tasks become one. The same segments again
    change nothing.
    """
    emit_own_events(context)
    workshop, team, now = platform.open(), _enabled_team(context, platform), datetime.now(UTC)
    sources, parameters = read_sources(context.instance, workshop, team), clustering_parameters(workshop.settings)
    gone = _forget_gone(workshop, team, sources, now)
    news, lost = _read_news(workshop, team, sources)
    for name, why in lost.items():
        context.log.warning(f"{team}: {name} is left out: {why}")
    there = [source for source in sources.of(team) if source.name not in lost]
    report = cluster_team(workshop.database, team, there, lambda source: news[source.name], parameters, now)
    merges = consolidate_team(workshop.database, team, parameters, now)
    context.log.info(f"{team}: {report.new} new segments, {report.tasks_opened} Tasks opened, {report.pooled} wait")
    with workshop.database.read() as session:
        table, live = clusters_table(session, team), ranked(session, now, parameters, team=team)
    content = _parquet(table)
    workshop.store.put(clusters_key(team), content)
    picture = _map(workshop, team, sources, table, live)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(hashlib.sha256(content).hexdigest()),
        metadata={
            "dagster/row_count": table.num_rows,
            "run": dg.MetadataValue.md(_run_table(report, gone, len(merges))),
            "waiting": report.pooled,
            "left_out": dg.MetadataValue.json(lost),
            "map": dg.MetadataValue.md(picture_markdown(picture) if picture else "There are no segments yet."),
            "parquet": dg.MetadataValue.path(workshop.store.location(clusters_key(team))),
        },
    )


@dg.asset(
    partitions_def=teams, group_name="tasks", kinds={"parquet", "sqlalchemy"}, owners=["team:data-platform"],
    code_version="1", pool=_POOL, deps=[clusters], metadata=column_schema(TASKS_SCHEMA),
)  # fmt: skip
def tasks(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """The Tasks of a team by priority, labelled: in the database, and as `clipfarm/tasks/<team>.parquet`.

    The language model names new ones and those that have doubled, where `CLIPFARM_LLM_MODEL` names a model; keywords
    and the most typical segment do where none is configured or it fails.
    """
    emit_own_events(context)
    workshop, team, now = platform.open(), _enabled_team(context, platform), datetime.now(UTC)
    parameters = clustering_parameters(workshop.settings)
    labels = LabelReport() if workshop.llm is None else label_team(workshop.database, team, workshop.llm, now)
    for task_id, why in labels.failed.items():
        context.log.warning(f"Task {task_id} keeps its label: {why}")
    with workshop.database.read() as session:
        table, live = tasks_table(session, team, now, parameters), ranked(session, now, parameters, team=team)
        revision = revisions(session).get(team, 0)
    workshop.store.put(tasks_key(team), _parquet(table))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": table.num_rows,
            "open": len(live),
            REVISION: revision,
            "by_priority": dg.MetadataValue.md(_priority_table(live)),
            "labels": dg.MetadataValue.json(_label_facts(labels)),
            "parquet": dg.MetadataValue.path(workshop.store.location(tasks_key(team))),
        }
    )


def read_source(workshop: Workshop, team: str, source: Source) -> Described:
    """The team's segments of a source of which something is said, with their vectors.

    Raises:
        MissingRawObject: the store does not have them, or has rows and vectors that are not of each other.
    """
    is_import = source.name.startswith(IMPORT)
    keys = (
        import_keys(source.name.removeprefix(IMPORT))
        if is_import
        else (SEGMENTS.key(source.name), SEGMENT_EMBEDDING.key(source.name))
    )
    rows, vectors = (workshop.store.get(key) for key in keys)
    identity = workshop.artifacts.identity(keys[1])
    if rows is None or vectors is None or identity is None:
        raise MissingRawObject(f"The segments of {source.name} are not in the store.")
    segments, matrix = read_segments(rows), rows_from_npy(vectors)
    if len(segments) != len(matrix):
        raise MissingRawObject(f"{source.name} has {len(segments)} segments and {len(matrix)} vectors.")
    kept = [int(row) for row in said_rows(matrix) if segments[row].team == team]
    model = f"{identity.versions.model_name}@{identity.versions.model_version}"
    return Described([segments[row] for row in kept], matrix[kept], model)


def _enabled_team(context: dg.AssetExecutionContext, platform: Platform) -> str:
    team = team_of(context.partition_key)
    if not enabled(platform.open().settings, team):
        raise dg.Failure(f"CLIPFARM_VIDEO_SEGMENT_CLUSTERING_ENABLED is not on for team {team}.", allow_retries=False)
    return team


def _forget_gone(workshop: Workshop, team: str, sources: Sources, now: datetime) -> int:
    """Takes out what is no longer the team's; returns how many segments."""
    with workshop.database.read() as session:
        gone = gone_sources(workshop, team, taken_in(session).get(team, {}), sources)
    dropped = 0
    for name in gone:
        with workshop.database.write() as session:
            dropped += forget_source(session, team, name, now)
    return dropped


def _read_news(workshop: Workshop, team: str, sources: Sources) -> tuple[dict[str, Described], dict[str, str]]:
    """What the sources have that the team's Tasks have not seen; and why some cannot be read, which stops no other."""
    with workshop.database.read() as session:
        taken = taken_in(session).get(team, {})
    news: dict[str, Described] = {}
    lost: dict[str, str] = {}
    for source in sources.of(team):
        if taken.get(source.name) != source.data_version:
            try:
                news[source.name] = read_source(workshop, team, source)
            except (MissingRawObject, ValueError) as error:
                lost[source.name] = str(error)
    return news, lost


def _map(workshop: Workshop, team: str, sources: Sources, table: pa.Table, live: Sequence[Ranked]) -> bytes | None:
    """The picture of the team's segments, or of so many as can be told apart: those of evenly chosen sources."""
    place = dict(zip(table["segment_id"].to_pylist(), table["task_id"].to_pylist(), strict=True))
    ordered = sorted(sources.of(team), key=lambda source: hashlib.sha256(source.name.encode()).digest())
    ids: list[str | None] = []
    vectors: list[np.ndarray] = []  # type: ignore[type-arg]
    for source in ordered:
        try:
            described = read_source(workshop, team, source)
        except (MissingRawObject, ValueError):
            continue  # said where it is taken in
        room = _MAPPED_SEGMENTS - len(ids)
        ids += [place.get(segment.segment_id) for segment in described.segments[:room]]
        vectors += list(described.vectors[:room])
        if len(ids) >= _MAPPED_SEGMENTS:
            break
    if not vectors:
        return None
    return segments_map(normalize(np.array(vectors)), ids, {each.task.id: each.task.title for each in live})


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _run_table(report: RunReport, gone: int, merged: int) -> str:
    counts: Mapping[str, int] = {
        "sources taken in": report.sources, "new segments": report.new, "segments of removed videos": gone,
        "segments that their video has no longer": report.dropped, "segments of another source": report.elsewhere,
        "Tasks opened": report.tasks_opened, "of these come back": report.tasks_recurred,
        "Tasks merged": report.tasks_merged + merged, "segments that wait": report.pooled,
        **{f"linked: {how}": count for how, count in sorted(report.by_how.items())},
    }  # fmt: skip
    return markdown_table(["what", "count"], [[name, str(count)] for name, count in counts.items()])


def _priority_table(live: Sequence[Ranked]) -> str:
    head = ["task", "priority", "users", "impact", "recency", "segments", "status", "title"]
    rows = []
    for each in live[:_SHOWN_TASKS]:
        task, score = each.task, each.priority
        values = (score.score, score.users, score.impact, score.recency) if score else ()
        parts = [f"{value:.3f}" for value in values] or [""] * 4
        rows.append([task.id[:8], *parts, str(task.segment_count), task.status, cell(task.title)])
    return markdown_table(head, rows)


def _label_facts(labels: LabelReport) -> dict[str, object]:
    return {
        "labelled": labels.labelled, "failed": dict(labels.failed), "not_asked": labels.not_asked,
        "calls": labels.usage.calls, "input_tokens": labels.usage.input_tokens,
        "output_tokens": labels.usage.output_tokens, "cost_usd": labels.usage.cost_usd,
    }  # fmt: skip
