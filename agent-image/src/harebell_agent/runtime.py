"""One agent process from start to end: puts the parts together, and winds them up again."""

import asyncio
import contextlib
import logging
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from harebell_bus.envelopes import AgentRef
from harebell_bus.link import Link
from harebell_bus.publisher import Publisher

from . import __version__, signals
from .agent import Agent
from .announcements import Announcements
from .errors import SettingsError
from .inflight import InFlight
from .listening import Listening
from .metrics import Metrics
from .outcome import StopCause
from .presence import Identity, Presence
from .probes import application, serving
from .replies import Replies
from .resources import ResourceReader
from .session import Session
from .settings import Settings, agent_type_from
from .threads import in_thread
from .vouching import Vouching
from .worker import Worker

logger = logging.getLogger(__name__)

STOP_SECONDS = 3.0
"""How long an action may take to stop when the agent is shut down, whatever its own grace period."""
LEAVE_SECONDS = 20.0
"""How long to try to get the last outcomes confirmed; what is not confirmed counts as lost. Nodes of the
broker may be restarting too. A Pod's grace period should hold the drain and all of these."""
HURRIED_SECONDS = 5.0
"""The same when told twice to shut down, counted from the second time."""
GOODBYE_SECONDS = 2.0
THREADS_SECONDS = 1.0
"""How long to wait for what coroutines had done in threads (``asyncio.to_thread``): it cannot be stopped."""


class Runtime:
    """A running agent."""

    def __init__(self, agent: Agent, settings: Settings) -> None:
        """Put the parts together.

        :raises SettingsError: the agent has no type, one that cannot be a type, or no action.
        """
        try:
            agent_type = settings.agent_type or agent_type_from(agent.type or "")
        except ValueError as error:
            raise SettingsError(f"Agent(type=...): {error}") from None
        if not agent_type:
            raise SettingsError("the agent has no type: set HAREBELL_AGENT_TYPE, --type or Agent(type=...)")
        if not agent.actions:
            raise SettingsError("the agent offers no action")
        self._settings = settings
        self._metrics = Metrics()
        self._inflight = InFlight()
        self._publisher = Publisher()
        ref = AgentRef(id=settings.agent_id, instance=str(uuid.uuid4()))
        identity = Identity(
            agent=ref,
            agent_type=agent_type,
            software_version=agent.version or __version__,
            started_at=datetime.now(UTC),
            capacity=settings.concurrency,
            actions=tuple(sorted(agent.actions)),
            resumable=tuple(sorted(n for n, a in agent.actions.items() if a.resumable)),
            idempotent=tuple(sorted(n for n, a in agent.actions.items() if a.idempotent is True)),
            pod=settings.pod,
        )
        announcements = Announcements(agent.announcement_handler)
        self._listening = Listening()
        self._presence = Presence(
            identity,
            self._publisher,
            self._inflight.current,
            ResourceReader().read,
            announcements,
            self._listening,
        )
        self._shutdown = asyncio.Event()
        self._hurry = asyncio.Event()
        vouching = Vouching(self._inflight)
        replies = Replies(self._publisher)
        self._worker = Worker(ref, agent.actions, replies, self._inflight, vouching, self._metrics)
        self._session = Session(
            agent_type,
            settings.agent_id,
            self._publisher,
            self._presence,
            self._worker,
            self._inflight,
            vouching,
            announcements,
            self._listening,
            settings.concurrency,
        )
        self._link = Link(settings.broker, f"agent {settings.agent_id}")
        self._metrics.connected.set_function(lambda: self._link.connected)
        self._metrics.consuming.set_function(lambda: bool(self._listening.consuming))
        self._metrics.paused.set_function(announcements.paused.is_set)
        self._metrics.ready.set_function(lambda: self.not_ready() is None)
        logger.info(
            "agent %s of type %s, version %s, offers %s; as many as %d at a time",
            ref.id, agent_type, identity.software_version, ", ".join(identity.actions), settings.concurrency,
        )  # fmt: skip

    def not_ready(self) -> str | None:
        """Return why the agent takes no work now, or None when it does."""
        if self._shutdown.is_set():
            return "shutting down"
        if not self._link.connected:
            return f"not connected to the broker: {self._link.error}"
        if not self._presence.welcomed.is_set():
            return "not registered yet: waiting for the operator's Welcome"
        return None

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, then wind up.

        :raises UnsupportedBrokerError: the broker is too old.
        :raises SettingsError: the port for probes is taken.
        """
        signals.handle(self.stop)
        executor = ThreadPoolExecutor()
        asyncio.get_running_loop().set_default_executor(executor)
        async with serving(application(self.not_ready, self._metrics.registry), self._settings.port):
            link = asyncio.create_task(self._link.run(self._session.run), name="link")
            shutdown = asyncio.create_task(self._shutdown.wait())
            try:
                await asyncio.wait({link, shutdown}, return_when=asyncio.FIRST_COMPLETED)
                if link.done():
                    link.result()
                await self._wind_up()
            finally:
                shutdown.cancel()
                link.cancel()
                await asyncio.gather(link, shutdown, return_exceptions=True)
        logger.info("ended")
        threads = in_thread(lambda: executor.shutdown(cancel_futures=True), "executor")
        await asyncio.wait({threads}, timeout=THREADS_SECONDS)
        if self._worker.leftovers or len(self._inflight) or not threads.done():
            # A coroutine that will not stop, or such a thread, would be waited for when the loop closes.
            logging.shutdown()
            os._exit(0)

    def stop(self) -> None:
        """Begin to wind up; told again, do it at once; told a third time, the signal kills."""
        if not self._shutdown.is_set():
            logger.info("shutting down: no more work is taken, %d in hand", len(self._inflight))
            self._shutdown.set()
            self._session.draining.set()
            self._listening.end()
            return
        logger.info("shutting down at once")
        self._hurry.set()
        signals.leave()

    async def _wind_up(self) -> None:
        """Let actions end, then stop those that have not, hand back what they worked on, and say good-bye."""
        await self._until_idle_or_hurried(self._settings.drain_seconds)
        if not self._hurry.is_set():
            self._stop_actions()
            await self._until_idle_or_hurried(STOP_SECONDS + LEAVE_SECONDS)
        if self._hurry.is_set():
            self._stop_actions()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._inflight.idle(), HURRIED_SECONDS)
        for attempt in self._inflight.all():
            logger.warning("left without a confirmed outcome: %s", attempt.work.task.uid)
        try:
            async with asyncio.timeout(GOODBYE_SECONDS if self._publisher.attached else 0):
                await self._presence.leave()
        except TimeoutError:
            logger.warning("left without saying good-bye: %s", self._link.error or "no confirm in time")

    def _stop_actions(self) -> None:
        for attempt in self._inflight.all():
            attempt.stop.request(
                StopCause.SHUTDOWN,
                "the agent is shut down",
                immediate=self._hurry.is_set(),
                within_seconds=STOP_SECONDS,
            )

    async def _until_idle_or_hurried(self, seconds: float) -> None:
        waiting = {asyncio.create_task(self._inflight.idle()), asyncio.create_task(self._hurry.wait())}
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
