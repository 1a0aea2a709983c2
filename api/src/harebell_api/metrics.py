"""What Prometheus is told, in a registry of its own."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .kube import Kind

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNKNOWN_ROUTE = "unknown"
"""Label of requests that match no route: paths are the client's choice, and must not make series."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """All metrics of the process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "harebell_api_requests_total",
            "HTTP requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "harebell_api_request_seconds",
            "Time from a request's arrival to the end of its answer; of event streams, to its beginning.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.watch_restarts = Counter(
            "harebell_api_watch_restarts_total",
            "Watches opened again for another reason than their age.",
            ("kind", "reason"),
            registry=self.registry,
        )
        self.streams = Gauge("harebell_api_websockets", "WebSockets open.", registry=self.registry)
        self.event_streams = Gauge(
            "harebell_api_event_streams", "Event streams open.", registry=self.registry
        )
        self.streams_dropped = Counter(
            "harebell_api_streams_dropped_total",
            "WebSockets and event streams ended because the client did not read.",
            registry=self.registry,
        )
        self._cached = Gauge(
            "harebell_api_cached_objects", "Objects in the watch cache.", ("kind",), registry=self.registry
        )
        self._fresh = Gauge(
            "harebell_api_cache_fresh",
            "1 if the cache was filled and its watch works.",
            ("kind",),
            registry=self.registry,
        )

    def observe_cache(self, kind: Kind, size: Callable[[], float], fresh: Callable[[], bool]) -> None:
        """Have the cache of ``kind`` asked at each scrape."""
        self._cached.labels(kind.value).set_function(size)
        self._fresh.labels(kind.value).set_function(lambda: float(fresh()))

    def observe_keys(self, usable: Callable[[], float], fresh: Callable[[], bool]) -> None:
        """Have the API keys counted at each scrape."""
        Gauge(
            "harebell_api_keys_usable", "API keys that let somebody in.", registry=self.registry
        ).set_function(usable)
        Gauge(
            "harebell_api_keys_fresh",
            "1 if the API keys are known to be those there are; 0: revocations may be missed.",
            registry=self.registry,
        ).set_function(lambda: float(fresh()))

    def watch_restarted(self, kind: Kind, reason: str) -> None:
        """Count a watch that failed."""
        self.watch_restarts.labels(kind.value, reason).inc()

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class MetricsMiddleware:
    """Counts and times HTTP requests by the route's template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it when it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        seconds: float | None = None

        async def note_status(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status = message["status"]
                if Headers(raw=message["headers"]).get("content-type", "").startswith(_EVENT_STREAM):
                    seconds = time.perf_counter() - began
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(method, route).observe(
                time.perf_counter() - began if seconds is None else seconds
            )


_EVENT_STREAM = "text/event-stream"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
