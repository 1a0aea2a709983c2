"""Probes and metrics over HTTP: ``/healthz``, ``/readyz``, ``/metrics``."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from . import gpus, metrics
from .store import Store


async def serve(
    port: int, dead: Callable[[], str | None], missing: Callable[[], str | None], store: Store
) -> web.AppRunner:
    """Start serving and return the runner to clean up.

    :param dead: Says why only a restart can help, or None.
    :param missing: Says what is missing for the operator to be ready, or None.
    """

    async def healthz(_: web.Request) -> web.Response:
        return _probed(dead())

    async def readyz(_: web.Request) -> web.Response:
        return _probed(missing())

    async def scrape(_: web.Request) -> web.Response:
        metrics.TASKS.clear()
        for phase, count in store.phases().items():
            metrics.TASKS.labels(str(phase)).set(count)
        metrics.AGENTS.clear()
        for (kind, phase), count in store.agent_phases().items():
            metrics.AGENTS.labels(kind, str(phase)).set(count)
        metrics.AGENTS_NOT_CONSUMING.clear()
        for kind, count in store.deaf_agents().items():
            metrics.AGENTS_NOT_CONSUMING.labels(kind).set(count)
        for gauge in (metrics.GPUS, metrics.GPU_MEMORY_SIZE, metrics.GPU_MEMORY_USED):
            gauge.clear()
        for kind, fleet in gpus.by_type(store.agents.values()).items():
            metrics.GPUS.labels(kind).set(fleet.count)
            metrics.GPU_MEMORY_SIZE.labels(kind).set(fleet.size_bytes)
            metrics.GPU_MEMORY_USED.labels(kind).set(fleet.used_bytes)
        metrics.QUEUE_DEPTH.clear()
        for kind, depth in store.queue_depths().items():
            metrics.QUEUE_DEPTH.labels(kind).set(depth)
        metrics.QUEUE_OLDEST.clear()
        for kind, since in store.longest_waiting().items():
            metrics.QUEUE_OLDEST.labels(kind).set(since.timestamp())
        metrics.POOL_REPLICAS.clear()
        for pool in store.pools.values():
            for state, count in pool.counts().items():
                metrics.POOL_REPLICAS.labels(pool.name, pool.spec.type, state).set(count)
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", scrape)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104
    return runner


def _probed(problem: str | None) -> web.Response:
    return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)
