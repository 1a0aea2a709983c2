"""What Kubernetes and Prometheus ask. No key is needed here."""

from collections.abc import Callable, Mapping

from fastapi import APIRouter
from starlette.responses import Response

from harebell_api.metrics import CONTENT_TYPE, Metrics
from harebell_api.problems import ProblemError, ProblemType

PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


def probe_routes(fresh: Mapping[str, Callable[[], bool]], metrics: Metrics) -> APIRouter:
    """Return the routes; ``fresh`` says of each cache by its name whether it can be read from."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    @router.get("/readyz")
    async def readyz() -> Response:
        stale = [name for name, is_fresh in fresh.items() if not is_fresh()]
        if stale:
            raise ProblemError(ProblemType.UNAVAILABLE, f"nothing was heard of late of: {', '.join(stale)}")
        return Response("ok\n", media_type="text/plain")

    @router.get("/metrics")
    async def scrape() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return router
