"""What a deployment's database, index and store know of it, as Prometheus reads it.

Processes of the graph come and go, so what they count lies in the database (``database.measurements``), and every
server of a deployment shows the same. A look is kept for some seconds, however often and by however many it is scraped,
and reads some hundred rows. A source that does not answer has 0 in ``clipfarm_source_up``, and its figures are left
out: what was true before the outage is not shown as if it still were.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from clipfarm_assets.database.measurements import Measured, measurements
from clipfarm_assets.discovery.evaluating import REPORT_KEY
from clipfarm_assets.discovery.figures import coverage_by_modality
from clipfarm_assets.errors import ClipfarmError
from clipfarm_assets.http.app import Backend
from clipfarm_assets.measures import (
    CACHE_REQUESTS,
    INDEX_WAITING,
    INDEX_WAITING_SINCE,
    LEDGER_VIDEOS,
    STAGE_VIDEOS,
    UPSTREAM_BUCKET,
    UPSTREAM_BUCKETS_SEC,
    UPSTREAM_REQUESTS,
    UPSTREAM_SECONDS,
    Series,
    series,
)

FRESH_SEC = 5.0
_SOURCES = ("database", "index", "store")
_FIGURES = ("ndcg_5", "ndcg_10", "mrr", "precision_5", "precision", "recall_5", "recall")
_COUNTERS = {
    STAGE_VIDEOS: ("clipfarm_stage_videos", "What became of videos in a stage.", ["stage", "status"]),
    CACHE_REQUESTS: ("clipfarm_embedding_cache_requests", "Texts looked up in the cache of vectors.", ["result"]),
    UPSTREAM_REQUESTS: ("clipfarm_upstream_requests", "Requests to other services.", ["api", "outcome"]),
}
_GAUGES = {
    "source_up": ("1 where it answers.", ["source"]),
    "search_index_documents": ("Items in the index.", []),
    "search_index_documents_with_vector": ("Items in the index that have a vector.", []),
    "search_index_unindexed_rows": ("Rows that the next optimize takes in.", []),
    "search_index_lag_seconds": ("How long the oldest outcome has waited to be taken into the index.", []),
    "search_index_waiting_outcomes": ("Outcomes of stages that the index has not taken in.", []),
    "embedding_backlog_items": ("Items without the vector that they should have.", ["modality"]),
    "embedding_coverage_ratio": ("Share of the items that have what they should have.", ["modality"]),
    "ledger_videos": ("Videos by what became of them.", ["stage", "status"]),
    "ledger_last_written_timestamp_seconds": ("When the ledger was written.", []),
    "graph_last_seen_timestamp_seconds": ("When a sensor or a run of the graph last gave a sign of life.", []),
    "search_quality_ratio": ("How good answers are, by the judgments.", ["mode", "figure"]),
    "search_quality_last_measured_timestamp_seconds": ("When that was measured.", []),
}

Stored = Mapping[Series, Measured]
Value = tuple[str, tuple[str, ...], float]  # of a gauge: its name, its labels' values, its value


class StoredFigures(Collector):
    """The figures of one deployment; ``clock`` tells seconds of no particular day."""

    def __init__(self, backend: Backend, clock: Callable[[], float] = time.monotonic) -> None:
        self._backend, self._clock, self._lock = backend, clock, threading.Lock()
        self._seen: list[Metric] = []
        self._seen_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that nobody looks while the server is being put together."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures of a moment ago."""
        with self._lock:
            if self._clock() - self._seen_at > FRESH_SEC:
                self._seen = self._look()
                self._seen_at = self._clock()
            yield from self._seen

    def _look(self) -> list[Metric]:
        gauges = {
            name: GaugeMetricFamily(f"clipfarm_{name}", text, labels=labels) for name, (text, labels) in _GAUGES.items()
        }
        stored: Stored = {}
        reads: dict[str, Callable[[], Iterable[Value]]] = {"index": self._index, "store": self._quality}
        for source in _SOURCES:
            values: Iterable[Value] = ()
            try:
                if source == "database":
                    with self._backend.database.read() as session:
                        stored = measurements(session)
                    values = list(_of_graph(stored))
                else:
                    values = list(reads[source]())
                up = 1.0
            except ClipfarmError:
                up = 0.0
            gauges["source_up"].add_metric([source], up)
            for name, labels, value in values:
                gauges[name].add_metric(labels, value)
        return [*gauges.values(), *_counters(stored), _upstream_seconds(stored)]

    def _index(self) -> Iterator[Value]:
        room = self._backend.discovery
        if room is None:
            return
        facts = room.index.facts()
        yield "search_index_documents", (), facts.documents
        yield "search_index_documents_with_vector", (), facts.with_vector
        yield "search_index_unindexed_rows", (), facts.unindexed
        waiting = room.index.waiting() if facts.with_vector < facts.documents else 0
        yield "embedding_backlog_items", ("discovery",), waiting
        yield "embedding_coverage_ratio", ("discovery",), 1.0 - waiting / max(facts.documents, 1)

    def _quality(self) -> Iterator[Value]:
        content = self._backend.store.get(REPORT_KEY)
        if content is None:
            return
        report = json.loads(content)
        measured_at = datetime.fromisoformat(report["measured_at"]).timestamp()
        yield "search_quality_last_measured_timestamp_seconds", (), measured_at
        for mode, figures in sorted(report["quality"].items()):
            yield from (("search_quality_ratio", (mode, name), figures[name]) for name in _FIGURES)


def _of_graph(stored: Stored) -> Iterator[Value]:
    """Gauges out of what the graph has left in the database."""
    ledger = {each: measured for each, measured in stored.items() if each.name == LEDGER_VIDEOS}
    for each, measured in ledger.items():
        labels = dict(each.labels)
        yield "ledger_videos", (labels["stage"], labels["status"]), measured.value
    if ledger:
        newest = max(measured.at for measured in ledger.values())
        yield "ledger_last_written_timestamp_seconds", (), newest.timestamp()
    for modality, coverage in coverage_by_modality(stored):
        yield "embedding_backlog_items", (modality,), coverage.backlog
        yield "embedding_coverage_ratio", (modality,), coverage.share
    since = stored.get(series(INDEX_WAITING_SINCE))
    if since is not None:
        yield "search_index_lag_seconds", (), max(0.0, time.time() - since.value) if since.value else 0.0
        yield "search_index_waiting_outcomes", (), stored[series(INDEX_WAITING)].value
        yield "graph_last_seen_timestamp_seconds", (), since.at.timestamp()


def _counters(stored: Stored) -> Iterator[Metric]:
    for name, (shown, text, labels) in _COUNTERS.items():
        family = CounterMetricFamily(shown, text, labels=labels)
        for each, measured in stored.items():
            if each.name == name:
                of_each = dict(each.labels)
                family.add_metric([of_each[label] for label in labels], measured.value)
        yield family


def _upstream_seconds(stored: Stored) -> Metric:
    family = HistogramMetricFamily(
        "clipfarm_upstream_request_duration_seconds", "How long other services took to answer.", labels=["api"]
    )
    bounds = [*(f"{bound:g}" for bound in UPSTREAM_BUCKETS_SEC), "+Inf"]
    for api in sorted(dict(each.labels)["api"] for each in stored if each.name == UPSTREAM_SECONDS):
        buckets = (stored.get(series(UPSTREAM_BUCKET, api=api, le=bound)) for bound in bounds)
        counts = accumulate(measured.value if measured else 0.0 for measured in buckets)
        family.add_metric(
            [api], list(zip(bounds, counts, strict=True)), stored[series(UPSTREAM_SECONDS, api=api)].value
        )
    return family
