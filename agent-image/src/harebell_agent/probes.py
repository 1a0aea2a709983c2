"""/healthz, /readyz and /metrics over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from .errors import SettingsError


def application(not_ready: Callable[[], str | None], registry: CollectorRegistry) -> web.Application:
    """Return the application. ``not_ready`` says why the agent is not ready, or None when it is.

    That /healthz answers at all is the proof it gives: the event loop turns.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        reason = not_ready()
        if reason is None:
            return web.json_response({"status": "ok"})
        return web.json_response({"status": "not ready", "reason": reason}, status=503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    served = web.Application()
    served.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    return served


@asynccontextmanager
async def serving(served: web.Application, port: int) -> AsyncIterator[None]:
    """Serve on all addresses while inside; port 0 serves nothing.

    :raises SettingsError: the port is taken.
    """
    if port == 0:
        yield
        return
    runner = web.AppRunner(served, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, port=port).start()
        except OSError as error:
            raise SettingsError(f"HAREBELL_PORT: cannot serve on port {port}: {error.strerror}") from error
        yield
    finally:
        await runner.cleanup()
