"""The composition root: builds everything, runs it until told to stop."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn
from uuid import uuid4

import kopf
import uvloop
from kopf._core.engines.peering import Identity
from kubernetes.aio.client import ApiClient

from harebell_bus.errors import BusError, UnsupportedBrokerError
from harebell_bus.process import JsonFormatter, configure_logging, until_told

from . import metrics, watch
from .adoption import Adoption
from .agents import AgentReconciler
from .announcements import AnnouncementReconciler
from .apiserver import ApiServer, api_client
from .broker import Broker
from .bus import BusReconciler
from .commands import send_query
from .kube import Kube
from .lanes import LaneKeeper
from .leadership import LeadershipLostError, lead
from .pools import PoolReconciler
from .resync import Resync
from .settings import Settings, SettingsError
from .standings import Standings
from .store import Store
from .superseding import Superseding
from .tasks import TaskReconciler
from .watchdog import Watchdog
from .web import serve
from .work_queues import WorkQueues
from .workforce import Workforce
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

TASK_WORKERS = 48
"""They mostly wait, for confirms and for the API server; more of them let the broker confirm many at once."""
FINISH_SECONDS, FLUSH_SECONDS = 5.0, 10.0
"""At the end: for what is being done about Tasks, then for statuses that are not written yet. A Pod of the
chart has 30 s."""
AGENT_WORKERS = 4
ANNOUNCEMENT_WORKERS = 2
POOL_WORKERS = 2

# Kopf says at INFO what it does for every object; the reconcilers say what matters.
QUIET = {"kopf": logging.WARNING, "aiormq": logging.WARNING, "aio_pika": logging.WARNING}


async def run(settings: Settings) -> None:
    """Serve probes and metrics, and operate; with a Lease, only while this replica leads.

    When the Lease is lost this does not return: the process ends.

    :raises ExceptionGroup: a part failed for good.
    """
    async with api_client() as api:
        store = Store()
        state = State("the resources have not been read yet")
        web = await serve(settings.port, lambda: state.dead, lambda: state.missing, store)
        try:
            work = partial(operate, settings, api, store, state)
            if settings.terms is None:
                await work()
            else:
                try:
                    await lead(api, settings.terms, work, state.stand_by)
                except LeadershipLostError as lost:
                    _end_at_once(lost)
        finally:
            await web.cleanup()


@dataclass
class State:
    """What the probes are told."""

    missing: str | None
    """Why it is not ready, or None. What has been ready stays so."""
    watchdog: Watchdog | None = None

    @property
    def dead(self) -> str | None:
        """Why only a restart can help, or None."""
        return self.watchdog.problem if self.watchdog else None

    def stand_by(self) -> None:
        """Be ready while another works: the API beside this one serves, and it could lead."""
        self.missing = None


async def operate(settings: Settings, api: ApiClient, store: Store, state: State) -> None:
    """Operate until told to stop by a signal.

    :raises ExceptionGroup: a part failed for good.
    """
    metrics.LEADING.set(1)
    task_queue: WorkQueue[str] = WorkQueue()
    agent_queue: WorkQueue[str] = WorkQueue()
    announcement_queue: WorkQueue[str] = WorkQueue()
    pool_queue: WorkQueue[str] = WorkQueue()
    kube = Kube(ApiServer(api), settings.namespace)
    watchdog = state.watchdog = Watchdog(kube, settings.watch_seconds)
    broker = Broker(settings.broker, settings.identity, record_heartbeats=settings.record_heartbeats)
    standings = Standings(store, announcement_queue, broker, _now)
    workforce = Workforce(store, broker, standings, _now, settings.offline_after)
    work_queues = WorkQueues(store, broker)
    superseding = Superseding(store, broker)
    agents = AgentReconciler(
        store,
        agent_queue,
        task_queue,
        pool_queue,
        kube,
        broker,
        standings,
        workforce,
        work_queues,
        superseding,
        _now,
        settings.heartbeat_seconds,
        settings.agent_ttl,
        settings.identity,
    )
    tasks = TaskReconciler(
        store,
        task_queue,
        kube,
        broker,
        agents,
        workforce,
        work_queues,
        superseding,
        _now,
        settings.identity,
    )
    announcements = AnnouncementReconciler(
        store, announcement_queue, kube, standings, agents, _now, settings.offline_after
    )
    bus = BusReconciler(kube, broker, _now, archive_expected=settings.archive)
    pools = PoolReconciler(
        store,
        pool_queue,
        kube,
        broker,
        agents,
        _now,
        settings.offline_after,
        settings.pool_credentials,
        settings.identity,
    )
    resync = Resync(store, kube, tasks, agents, announcements, pools)

    def on_connected() -> None:
        """Publish what waited for the broker; tell the agents what is void, and ask what they are doing."""
        for entry in store.tasks.values():
            if entry.status.phase in (None, "Pending"):
                tasks.wake(entry.uid)
        for name in store.agents:
            agent_queue.add(name)
        broker.spawn(superseding.tell_all())
        broker.spawn(_ask_agents(broker))

    await resync.first()
    keep_heap()
    state.missing = None
    logger.info("%d Tasks and %d Agents known", len(store.tasks), len(store.agents))
    adoption = Adoption(store, workforce, bus, kube, _now, settings.identity)
    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(task_queue.work(tasks.reconcile)) for _ in range(TASK_WORKERS)]
        running = [
            group.create_task(
                broker.run(tasks.heard, agents.heard, bus.heard, on_connected, tasks.heard_out), name="broker"
            ),
            group.create_task(bus.run(), name="bus"),
            group.create_task(resync.run(), name="resync"),
            group.create_task(watchdog.run(), name="watchdog"),
            group.create_task(adoption.run(), name="adoption"),
            group.create_task(LaneKeeper(store, task_queue, broker, _now).run(), name="lanes"),
            *workers,
            *(group.create_task(agent_queue.work(agents.reconcile)) for _ in range(AGENT_WORKERS)),
            *(
                group.create_task(announcement_queue.work(announcements.reconcile))
                for _ in range(ANNOUNCEMENT_WORKERS)
            ),
            *(group.create_task(pool_queue.work(pools.reconcile)) for _ in range(POOL_WORKERS)),
        ]
        ready, stop = asyncio.Event(), asyncio.Event()
        watching = group.create_task(
            kopf.operator(
                registry=watch.registry(tasks, agents, announcements, pools, watchdog),
                settings=watch.settings(),
                namespaces=[settings.namespace],
                # Otherwise Kopf asks for the user's name, and a numeric user in a container has none.
                identity=Identity(settings.identity),
                ready_flag=ready,
                stop_flag=stop,
            ),
            name="watches",
        )
        await _until_told(ready, watching)
        logger.info("stopping")
        await _wind_up(task_queue, workers, tasks)
        for task in running:
            task.cancel()
        # Kopf waits for what was begun after it, so all of that ends first.
        await asyncio.wait(running)
        stop.set()


async def _until_told(ready: asyncio.Event, watching: asyncio.Task[None]) -> None:
    """Wait for SIGTERM or SIGINT, or for Kopf to end.

    Kopf sets handlers of its own, and would stop at once; once it is ready they are replaced.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for event in (ready, told):
        waiting = asyncio.create_task(event.wait())
        await asyncio.wait({waiting, watching}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if watching.done():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)


async def _wind_up(
    queue: WorkQueue[str], workers: Collection[asyncio.Task[None]], tasks: TaskReconciler
) -> None:
    """Have what is published, and what is heard, written before the end.

    Otherwise the next operator would publish again what no status says was published.
    """
    queue.close()
    await asyncio.wait(workers, timeout=FINISH_SECONDS)
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await tasks.flush()
    except TimeoutError:
        logger.warning(
            "not every status was written before the end; what is published may be published again"
        )


def _end_at_once(lost: LeadershipLostError) -> NoReturn:
    """End the process without waiting for anything inside it.

    What does not stop when it is cancelled would go on publishing, and take replies from the new leader.
    """
    logger.critical("%s", lost)
    logging.shutdown()
    os._exit(1)


def keep_heap() -> None:
    """Have garbage collections pass over what there is now, most of which stays as long as the process.

    A full one would look at every object of it, the client library's among them, and hold up everything for
    a tenth of a second and more (Python documentation, ``gc.freeze``).
    """
    gc.collect()
    gc.freeze()


def _now() -> datetime:
    return datetime.now(UTC)


async def _ask_agents(broker: Broker) -> None:
    """Ask every agent what it does. Those that do not hear it say so with their next heartbeat."""
    try:
        await send_query(broker.publisher, uuid4().hex, broker.instance)
    except BusError as error:
        logger.warning("the agents were not asked: %s", error)


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="harebell-operator",
        description="Reconciles harebell's Tasks, Agents, AgentPools and Announcements against RabbitMQ.",
        epilog="Settings come from the environment: HAREBELL_AMQP_URL or HAREBELL_AMQP_URL_FILE, "
        "HAREBELL_AMQP_CA_FILE, HAREBELL_AMQP_CERT_FILE, HAREBELL_AMQP_KEY_FILE, "
        "HAREBELL_NAMESPACE, HAREBELL_HEARTBEAT_SECONDS (60), HAREBELL_OFFLINE_SECONDS (180), "
        "HAREBELL_AGENT_TTL_SECONDS (86400; 0: never), "
        "HAREBELL_RECORD_HEARTBEATS (false), HAREBELL_ARCHIVE (true), "
        "HAREBELL_WATCH_SECONDS (120), HAREBELL_LEASE (none: the only operator there ever is), "
        "HAREBELL_LEASE_SECONDS (10), "
        "HAREBELL_POOL_AMQP_SECRET, HAREBELL_POOL_AMQP_CA_KEY, HAREBELL_POOL_AMQP_CA_SECRET and "
        "HAREBELL_POOL_AMQP_CERT_SECRET (none: templates bring the broker's URL), "
        "HAREBELL_PORT (9090), HAREBELL_LOG_LEVEL (INFO), "
        "and KUBECONFIG outside a cluster.",
    )
    parser.parse_args()
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        parser.error(str(error))
    configure_logging(settings.log_level, JsonFormatter(), QUIET)
    # Kopf copies objects recursively; one with hostile nesting must get as far as being refused.
    sys.setrecursionlimit(100_000)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            # Once it operates, signals are dealt with there.
            runner.run(until_told(run(settings)))
    except* asyncio.CancelledError:
        logger.info("stopped")
    except* UnsupportedBrokerError as refused:
        logger.critical("%s", refused.exceptions[0])
        sys.exit(1)


if __name__ == "__main__":
    main()
