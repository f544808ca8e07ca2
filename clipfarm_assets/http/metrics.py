"""What Prometheus scrapes: counts and times of this process, and what ``figures`` knows of the deployment."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

from clipfarm_assets.http.app import Backend
from clipfarm_assets.http.figures import StoredFigures

_QUERY_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0)
_KINDS = ("text", "semantic", "hybrid", "suggest", "similar")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass
class Asked:
    """A query in work; the block that answers it says whether nothing was found."""

    empty: bool = False


class Metrics:
    """The metrics of one app."""

    def __init__(self, backend: Backend) -> None:
        self._measures = backend.measures
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
        for kind in _KINDS:  # a share of nothing is 0, and not absent
            self.query_seconds.labels(kind)
            self.empty.labels(kind)
        on.register(StoredFigures(backend))

    @contextmanager
    def query(self, kind: str) -> Iterator[Asked]:
        """Times and counts a query, for Prometheus and for the graph's own metadata."""
        began, asked = time.perf_counter(), Asked()
        try:
            yield asked
        finally:
            seconds = time.perf_counter() - began
            self.query_seconds.labels(kind).observe(seconds)
            self._measures.query(kind, seconds, empty=asked.empty)
            if asked.empty:
                self.empty.labels(kind).inc()


metrics = APIRouter(tags=["health"])


@metrics.get("/metrics", response_class=Response)
def scrape(request: Request) -> Response:
    """Metrics in the text format of Prometheus."""
    return Response(generate_latest(metrics_of(request.app).registry), media_type=CONTENT_TYPE_LATEST)


def metrics_of(app: FastAPI) -> Metrics:
    """The metrics of an app; ``measure`` has made them."""
    found: Metrics = app.state.metrics
    return found


def measure(app: FastAPI) -> None:
    """Counts and times every request of the app."""
    app.state.metrics = Metrics(app.state.backend)

    @app.middleware("http")
    async def timed(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        began, status = time.perf_counter(), "500"
        try:
            response = await call_next(request)
            status = str(response.status_code)
            return response
        finally:
            route = getattr(request.scope.get("route"), "path", "unknown")  # never the path: ids are no labels
            method = request.method if request.method in _METHODS else "other"  # nor what a caller makes up
            found = metrics_of(app)
            found.requests.labels(method, route, status).inc()
            found.request_seconds.labels(method, route).observe(time.perf_counter() - began)
