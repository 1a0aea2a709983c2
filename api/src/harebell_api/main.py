"""The process: read the settings, keep the caches current, serve."""

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Sequence

import uvloop
from kubernetes.aio.config import ConfigException
from prometheus_client import disable_created_metrics

from . import logs, server, settings
from .app import Dependencies, create_app
from .archive import PostgreSQL
from .feed.sources import Patience
from .key_sources import KeyFolder, KeySecret, KeySource, KeySourceError
from .keyring import KeyRing
from .kube import Kind, Kube, connect
from .past import ArchivedPast
from .records import agent_record, announcement_record, task_record
from .reflector import Reflector
from .settings import Settings, SettingsError
from .tokens import Tokens

logger = logging.getLogger(__name__)

_START_UP_FAILED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the API until it is told to stop. Returns the exit status."""
    argparse.ArgumentParser(
        prog="harebell-api",
        description="Serve harebell's REST and WebSocket API. Settings come from the environment.",
        epilog=settings.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)
    logs.configure(logging.INFO)
    try:
        found = Settings.from_environment(os.environ)
    except SettingsError as error:
        logger.error("cannot start: %s", error)
        return _START_UP_FAILED
    logs.configure(found.log_level)
    disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, of no use
    try:
        uvloop.run(serve(found))
    except (ConfigException, KeySourceError, OSError) as error:
        logger.error("cannot start: %s", error)
        return _START_UP_FAILED
    return 0


async def serve(given: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    :raises ConfigException: there is no cluster to talk to.
    :raises KeySourceError: nobody could be let in.
    :raises OSError: the address cannot be listened on.
    """
    async with connect() as client:
        kube = Kube(client, given.namespace)
        ring = KeyRing(given.namespace)
        source = key_source(given, kube, ring)
        vouching = Tokens(kube, given.namespace, given.token_audience) if given.token_audience else None
        if source is not None:
            await source.load()
            if not ring.usable() and vouching is None:
                raise KeySourceError(
                    "there is no API key that is good here, so nobody could be let in; make one:"
                    f" harebell keys create --namespace {given.namespace} --name NAME --scope read"
                )
        keys = ring if source is not None else None
        archive = PostgreSQL(given.archive.url) if given.archive else None
        past = ArchivedPast(archive) if archive else None
        patience = Patience(idle=given.ping_seconds)
        parts = Dependencies(given.namespace, kube, keys, archive, past, vouching, patience=patience)
        restarted = parts.metrics.watch_restarted
        announcements = parts.announcement_cache
        keeping = (
            Reflector(Kind.TASKS, kube, parts.task_cache, task_record, restarted).run(),
            Reflector(Kind.AGENTS, kube, parts.agent_cache, agent_record, restarted).run(),
            Reflector(Kind.ANNOUNCEMENTS, kube, announcements, announcement_record, restarted).run(),
            *([source.run()] if source is not None else []),
        )
        listener = server.listen(given.host, given.port)
        serving = server.build(create_app(parts), given.ping_seconds)

        def stop() -> None:
            parts.sessions.shut_down()  # the server would wait for event streams to end by themselves
            serving.should_exit = True

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        # None of them ever ends; should one fail for a reason it does not know, the process ends with it.
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(part) for part in keeping]
            logger.info("serving namespace %s on %s:%d", given.namespace, *listener.getsockname()[:2])
            await serving.serve(sockets=[listener])
            for task in watching:
                task.cancel()
        if archive is not None:
            archive.close()
    logger.info("stopped")


def key_source(given: Settings, kube: Kube, ring: KeyRing) -> KeySource | None:
    """Return what keeps the ring current, or None: no API keys are taken."""
    if given.key_secret is not None:
        return KeySecret(given.key_secret, kube, ring)
    return KeyFolder(given.key_folder, ring) if given.key_folder is not None else None
