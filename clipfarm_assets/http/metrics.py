"""What Prometheus scrapes: counts and times of this process, and what store and database hold at that moment."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from clipfarm_assets.errors import ClipfarmError
from clipfarm_assets.http.app import Here

_QUERY_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The metrics of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        on = self.registry
        self.requests = Counter(
            "http_requests_total", "Requests by route and status.", ["method", "route", "status"], registry=on
        )
        self.request_seconds = Histogram(
            "http_request_duration_seconds", "Time to the answer's first byte.", ["method", "route"], registry=on
        )
        self.query_seconds = Histogram(
            "clipfarm_search_query_duration_seconds",
            "Time of a query, by kind.",
            ["kind"],
            buckets=_QUERY_SECONDS,
            registry=on,
        )
        self.empty = Counter(
            "clipfarm_search_zero_results_total", "Queries without a result, by kind.", ["kind"], registry=on
        )
        self.degraded = Counter(
            "clipfarm_search_without_meaning_total",
            "Queries by words alone, since no vector could be had.",
            registry=on,
        )
        self.documents = Gauge("clipfarm_search_index_documents", "Items in the index.", registry=on)
        self.with_vector = Gauge(
            "clipfarm_search_index_documents_with_vector", "Items of it with a vector.", registry=on
        )
        self.unindexed = Gauge(
            "clipfarm_search_index_unindexed_rows", "Rows that the next optimize takes in.", registry=on
        )
        self.backlog = Gauge(
            "clipfarm_embedding_backlog", "Items of the index without a discovery vector.", registry=on
        )
        self.coverage = Gauge(
            "clipfarm_embedding_coverage_ratio", "Share of items with a vector.", ["modality"], registry=on
        )
        self.cache = Counter(
            "clipfarm_embedding_cache_requests_total", "Queries looked up in the cache.", ["result"], registry=on
        )
        self.up = Gauge("clipfarm_search_index_up", "1 where the index answers.", registry=on)

    @contextmanager
    def query(self, kind: str) -> Iterator[None]:
        """Times a query."""
        with self.query_seconds.labels(kind).time():
            yield

    def look(self, here: Here) -> None:
        """Reads what the index holds; 0 in ``clipfarm_search_index_up`` where it does not answer."""
        if here.discovery is None:
            return
        try:
            facts = here.discovery.index.facts()
        except ClipfarmError:
            self.up.set(0)
            return
        self.up.set(1)
        self.documents.set(facts.documents)
        self.with_vector.set(facts.with_vector)
        self.unindexed.set(facts.unindexed)
        self.backlog.set(facts.documents - facts.with_vector)
        self.coverage.labels("discovery").set(facts.with_vector / facts.documents if facts.documents else 1.0)


metrics = APIRouter(tags=["health"])


@metrics.get("/metrics", response_class=Response)
def scrape(request: Request, here: Here) -> Response:
    """Metrics in the text format of Prometheus."""
    found = metrics_of(request.app)
    found.look(here)
    return Response(generate_latest(found.registry), media_type=CONTENT_TYPE_LATEST)


def metrics_of(app: FastAPI) -> Metrics:
    """The metrics of an app, made at the first look."""
    found: Metrics = app.state.metrics
    return found


def measure(app: FastAPI) -> None:
    """Counts and times every request of the app."""
    app.state.metrics = Metrics()

    @app.middleware("http")
    async def timed(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        began, status = time.perf_counter(), "500"
        try:
            response = await call_next(request)
            status = str(response.status_code)
            return response
        finally:
            route = getattr(request.scope.get("route"), "path", "unknown")  # never the path: ids are no labels
            found = metrics_of(app)
            found.requests.labels(request.method, route, status).inc()
            found.request_seconds.labels(request.method, route).observe(time.perf_counter() - began)
