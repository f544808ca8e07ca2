"""The figures that Prometheus reads from the HTTP server, for those who look at Dagster."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from clipfarm_assets.database.measurements import Measured, measurements
from clipfarm_assets.discovery.figures import coverage_by_modality
from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.errors import IndexMissing, IndexOutdated
from clipfarm_assets.graph.chunk import emit_own_events
from clipfarm_assets.graph.events import materialized_since
from clipfarm_assets.graph.index_lag import index_lag
from clipfarm_assets.graph.ledger import ledger
from clipfarm_assets.graph.platform import Platform
from clipfarm_assets.graph.presentation import markdown_table
from clipfarm_assets.graph.raw import RAW_VIDEO
from clipfarm_assets.graph.search_index import search_index
from clipfarm_assets.measures import (
    CACHE_REQUESTS,
    EMPTY_QUERIES,
    QUERIES,
    QUERY_SECONDS,
    UPSTREAM_REQUESTS,
    UPSTREAM_SECONDS,
    Series,
)

REPORT_KEY = "clipfarm/state/monitoring.json"
_ANSWERED = ("ok", "missing")

Stored = Mapping[Series, Measured]
Figures = dict[str, float | int]
Rows = dict[str, dict[str, float]]


@dg.asset(
    group_name="state", kinds={"report"}, owners=["team:data-platform"], code_version="1", deps=[ledger, search_index]
)
def monitoring(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """What `/metrics` shows, as metadata that Dagster plots, and as `clipfarm/state/monitoring.json`.

    Items ingested in the last hour, coverage and backlog of vectors, the index and its lag; and, since the deployment
    began, requests to other services, the cache of vectors and queries. What never happened has no figure.
    """
    emit_own_events(context)
    workshop, now = platform.open(), datetime.now(UTC)
    with workshop.database.read() as session:
        stored = measurements(session)
    hour_ago = now - timedelta(hours=1)
    figures: Figures = {"ingested_last_hour": materialized_since(context.instance, RAW_VIDEO.name, hour_ago)}
    for modality, coverage in coverage_by_modality(stored):
        figures |= {f"coverage_{modality}": coverage.share, f"backlog_{modality}": coverage.backlog}
    lag = index_lag(context.instance)
    figures |= {"index_lag_seconds": lag.seconds(now), "index_waiting_outcomes": lag.outcomes}
    figures |= dict(_of_index(workshop.discovery)) | dict(_shares(stored))
    services, queries = _services(stored), _queries(stored)
    report = {"at": now.isoformat(timespec="seconds"), "figures": figures, "services": services, "queries": queries}
    workshop.store.put(REPORT_KEY, json.dumps(report, indent=1).encode())
    return dg.MaterializeResult(
        metadata={**figures, "services": _table("service", services), "queries": _table("kind", queries)}
    )


def _of_index(room: Discovery) -> Iterator[tuple[str, float | int]]:
    try:
        facts = room.index.facts()
        waiting = room.index.waiting()
    except (IndexMissing, IndexOutdated):  # the checks of the index tell it
        return
    yield from (("index_documents", facts.documents), ("index_with_vector", facts.with_vector))
    yield from (("coverage_discovery", 1.0 - waiting / max(facts.documents, 1)), ("backlog_discovery", waiting))


def _shares(stored: Stored) -> Iterator[tuple[str, float]]:
    hits, looked_up = _sum(stored, CACHE_REQUESTS, result="hit"), _sum(stored, CACHE_REQUESTS)
    if looked_up:
        yield from (("cache_hits", hits), ("cache_misses", looked_up - hits), ("cache_hit_share", hits / looked_up))
    if asked := _sum(stored, QUERIES):
        yield "zero_result_share", _sum(stored, EMPTY_QUERIES) / asked


def _services(stored: Stored) -> Rows:
    rows: Rows = {}
    for api in sorted({dict(each.labels)["api"] for each in stored if each.name == UPSTREAM_REQUESTS}):
        requests = _sum(stored, UPSTREAM_REQUESTS, api=api)
        answered = sum(_sum(stored, UPSTREAM_REQUESTS, api=api, outcome=outcome) for outcome in _ANSWERED)
        seconds = _sum(stored, UPSTREAM_SECONDS, api=api)
        rows[api] = {"requests": requests, "errors": requests - answered, "mean_seconds": seconds / requests}
    return rows


def _queries(stored: Stored) -> Rows:
    rows: Rows = {}
    for kind in sorted({dict(each.labels)["kind"] for each in stored if each.name == QUERIES}):
        asked, empty = _sum(stored, QUERIES, kind=kind), _sum(stored, EMPTY_QUERIES, kind=kind)
        seconds = _sum(stored, QUERY_SECONDS, kind=kind)
        rows[kind] = {"queries": asked, "zero_result_share": empty / asked, "mean_seconds": seconds / asked}
    return rows


def _sum(stored: Stored, name: str, **labels: str) -> float:
    wanted = labels.items()
    return sum(measured.value for each, measured in stored.items() if each.name == name and wanted <= set(each.labels))


def _table(of: str, rows: Rows) -> dg.MetadataValue:
    if not rows:
        return dg.MetadataValue.text("none yet")
    names = list(next(iter(rows.values())))
    return dg.MetadataValue.md(
        markdown_table([of, *names], [[name, *(f"{row[each]:,.4g}" for each in names)] for name, row in rows.items()])
    )
