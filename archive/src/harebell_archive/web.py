"""Probes and metrics over HTTP: ``/healthz``, ``/readyz``, ``/metrics``."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from harebell_bus.envelopes import ArchiverState

from .state import State

READY = (ArchiverState.ARCHIVING, ArchiverState.STANDBY)


async def serve(port: int, state: State) -> web.AppRunner:
    """Start serving and return the runner to clean up."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        # For people and for `helm --wait`: nothing is routed here, and nothing restarts what is not ready.
        text = f"{state.name.value}: {state.message}" if state.message else state.name.value
        return web.Response(text=f"{text}\n", status=200 if state.name in READY else 503)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", scrape)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104
    return runner
