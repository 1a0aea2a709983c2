"""The composition root: builds everything, runs it until told to stop."""

import argparse
import asyncio
import logging
import os
import sys
from datetime import UTC, datetime
from uuid import uuid4

import kopf
import uvloop
from kopf._core.engines.peering import Identity
from pythonjsonlogger.json import JsonFormatter

from harebell_bus.errors import BusError, UnsupportedBrokerError

from . import watch
from .agents import AgentReconciler
from .broker import Broker
from .commands import send_query
from .kube import Kube, api_client
from .resync import Resync
from .settings import Settings, SettingsError
from .store import Store
from .tasks import TaskReconciler
from .web import serve
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

TASK_WORKERS = 16
AGENT_WORKERS = 4


async def operate(settings: Settings) -> None:
    """Run the operator until Kopf is told to stop by a signal.

    :raises ExceptionGroup: a part of it failed for good.
    """
    async with api_client() as api:
        store = Store()
        task_queue: WorkQueue[str] = WorkQueue()
        agent_queue: WorkQueue[str] = WorkQueue()
        kube = Kube(api, settings.namespace)
        broker = Broker(settings.broker, settings.identity)
        agents = AgentReconciler(
            store,
            agent_queue,
            task_queue,
            kube,
            broker,
            _now,
            settings.offline_after,
            settings.heartbeat_seconds,
        )
        tasks = TaskReconciler(store, task_queue, kube, broker, agents, _now, settings.identity)
        resync = Resync(store, kube, tasks, agents)

        def on_connected() -> None:
            """Publish what waited for the broker, and ask the agents what they are doing."""
            for entry in store.tasks.values():
                if entry.status.phase in (None, "Pending"):
                    tasks.wake(entry.uid)
            broker.spawn(_ask_agents(broker))

        def missing() -> str | None:
            return None if resync.synced else "the resources have not been read yet"

        web = await serve(settings.port, missing, store)
        try:
            await resync.first()
            logger.info("%d Tasks and %d Agents known", len(store.tasks), len(store.agents))
            async with asyncio.TaskGroup() as group:
                running = [
                    group.create_task(broker.run(tasks.heard, agents.heard, on_connected), name="broker"),
                    group.create_task(resync.run(), name="resync"),
                    *(group.create_task(task_queue.work(tasks.reconcile)) for _ in range(TASK_WORKERS)),
                    *(group.create_task(agent_queue.work(agents.reconcile)) for _ in range(AGENT_WORKERS)),
                ]
                await kopf.operator(
                    registry=watch.registry(tasks, agents),
                    settings=watch.settings(),
                    namespaces=[settings.namespace],
                    # Otherwise Kopf asks for the user's name, and a numeric user in a container has none.
                    identity=Identity(settings.identity),
                )
                logger.info("stopping")
                for task in running:
                    task.cancel()
        finally:
            await web.cleanup()


def _now() -> datetime:
    return datetime.now(UTC)


async def _ask_agents(broker: Broker) -> None:
    """Ask every agent what it does. Those that do not hear it say so with their next heartbeat."""
    try:
        await send_query(broker.publisher, uuid4().hex)
    except BusError as error:
        logger.warning("the agents were not asked: %s", error)


def configure_logging(level: str) -> None:
    """Log JSON objects, one per line, to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level"},
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Kopf says at INFO what it does for every object; the reconcilers say what matters.
    for name in ("kopf", "aiormq", "aio_pika"):
        logging.getLogger(name).setLevel(logging.WARNING)


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="harebell-operator",
        description="Reconciles harebell's Tasks and Agents against RabbitMQ.",
        epilog="Settings come from the environment: HAREBELL_AMQP_URL or HAREBELL_AMQP_URL_FILE, "
        "HAREBELL_AMQP_CA_FILE, HAREBELL_NAMESPACE, HAREBELL_HEARTBEAT_SECONDS (60), "
        "HAREBELL_OFFLINE_SECONDS (180), HAREBELL_PORT (9090), HAREBELL_LOG_LEVEL (INFO), "
        "and KUBECONFIG outside a cluster.",
    )
    parser.parse_args()
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        parser.error(str(error))
    configure_logging(settings.log_level)
    # Kopf copies objects recursively; one with hostile nesting must get as far as being refused.
    sys.setrecursionlimit(100_000)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(operate(settings))
    except* UnsupportedBrokerError as refused:
        logger.critical("%s", refused.exceptions[0])
        sys.exit(1)


if __name__ == "__main__":
    main()
