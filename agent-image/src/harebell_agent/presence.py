"""Makes the agent known to the operator, and keeps it so: registration, Welcome, heartbeats."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from harebell_bus.envelopes import (
    AgentRef,
    CurrentTask,
    Heartbeat,
    HeartbeatReason,
    PodRef,
    Resources,
    Standing,
    Welcome,
)
from harebell_bus.errors import BusError
from harebell_bus.topology import HEARTBEATS_EXCHANGE

from .announcements import Announcements
from .backoff import backoff
from .listening import Listening
from .replies import Publishing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """What does not change while the process lives."""

    agent: AgentRef
    agent_type: str
    software_version: str
    started_at: datetime
    capacity: int
    actions: tuple[str, ...]
    pod: PodRef | None
    resumable: tuple[str, ...] = ()
    """Those of the actions that go on from a checkpoint."""
    idempotent: tuple[str, ...] = ()
    """Those that may be done again from the beginning."""


class Presence:
    """Sends heartbeats on the present connection."""

    def __init__(
        self,
        identity: Identity,
        publisher: Publishing,
        current: Callable[[], tuple[CurrentTask, ...]],
        resources: Callable[[], Awaitable[Resources]],
        announcements: Announcements,
        listening: Listening,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._identity = identity
        self._publisher = publisher
        self._current = current
        self._resources = resources
        self._announcements = announcements
        self._listening = listening
        self._now = now
        self._wake = asyncio.Event()
        self._queried = False
        self._left = False
        self._known = Resources()
        """The last figures that were read. A good-bye reads none: a driver that hangs would hold it up for
        longer than there is time."""
        self.welcome: Welcome | None = None
        """What the operator said on this connection."""
        self.welcomed = asyncio.Event()
        """Set while the agent is registered."""
        self.work_queues: tuple[str, ...] = ()
        """Where work comes from, in the order in which to look; empty until the agent is registered."""
        self.requeued = asyncio.Event()
        """Set when work comes from other queues than before."""

    def greet(self, welcome: Welcome) -> None:
        """Take a Welcome; one for an earlier process of this agent is not for us."""
        if welcome.instance != self._identity.agent.instance:
            logger.info("ignored a Welcome for another instance of this agent")
            return
        if self.welcome is None:
            logger.info("registered; work comes from %s", ", ".join(welcome.work_queues))
            self.work_queues = welcome.work_queues
        else:
            self.requeue(welcome.work_queues)
        # Before anything can be claimed: who joins during a Pause takes nothing.
        if self._announcements.pause(welcome.paused):
            self._queried = True
        self.welcome = welcome
        self.welcomed.set()
        self._wake.set()

    def requeue(self, work_queues: tuple[str, ...]) -> None:
        """Have work come from these queues; before the Welcome that is for nobody here."""
        if self.welcome is not None and work_queues != self.work_queues:
            logger.info("work comes from %s now", ", ".join(work_queues))
            self.work_queues = work_queues
            self.requeued.set()

    def told(self, standing: Standing) -> None:
        """Keep to what was announced, and say so."""
        if standing.instance != self._identity.agent.instance:
            logger.info("ignored announcements to another instance of this agent")
            return
        self._announcements.take(standing)
        self.query()

    async def may_work(self) -> None:
        """Wait until the agent is registered and not paused."""
        while not (self.welcomed.is_set() and self._announcements.released.is_set()):
            await self.welcomed.wait()
            await self._announcements.released.wait()

    def query(self) -> None:
        """Send a heartbeat now."""
        self._queried = True
        self._wake.set()

    async def run(self) -> None:
        """Register until welcomed, then send heartbeats, until cancelled. Begins anew on each connection."""
        self.welcome = None
        self.welcomed.clear()
        self._queried = False
        registrations = 0
        try:
            while True:
                # Reset whatever is sent: left set, it would have the agent register without a pause.
                queried, self._queried = self._queried, False
                if self.welcome is None:
                    registrations += 1
                    await self._try(HeartbeatReason.REGISTERED)
                elif queried:
                    await self._try(HeartbeatReason.QUERIED)
                else:
                    await self._try(HeartbeatReason.INTERVAL)
                await self._pause(registrations)
        finally:
            self.welcome = None
            self.welcomed.clear()

    async def leave(self) -> None:
        """Say good-bye, if that is possible; nothing is sent after it."""
        self._left = True
        await self._try(HeartbeatReason.LEAVING)

    async def _pause(self, registrations: int) -> None:
        """Wait until the next heartbeat is due: after the interval, a query, or the backoff."""
        waiting_for = self.welcome
        seconds = backoff(registrations) if waiting_for is None else waiting_for.heartbeat_seconds
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        while not self._queried:
            self._wake.clear()
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            except TimeoutError:
                return
            if self.welcome is not None and self.welcome is not waiting_for:
                # Counted from now: the heartbeat before the Welcome is as good as any.
                waiting_for = self.welcome
                due = loop.time() + waiting_for.heartbeat_seconds

    async def _try(self, reason: HeartbeatReason) -> None:
        """Send one heartbeat. One that fails is not repeated: the next says the same, and more."""
        leaving = reason is HeartbeatReason.LEAVING
        if not leaving and not self._left:
            self._known = await self._resources()
        # Those figures may have taken a while.
        if self._left and not leaving:
            return
        try:
            await self._publisher.publish(
                HEARTBEATS_EXCHANGE,
                self._heartbeat(reason),
                message_id=str(uuid.uuid4()),
                persistent=False,
            )
        except BusError as error:
            logger.warning("heartbeat was not confirmed: %s", error)

    def _heartbeat(self, reason: HeartbeatReason) -> Heartbeat:
        identity = self._identity
        return Heartbeat(
            reason=reason,
            agent=identity.agent,
            agent_type=identity.agent_type,
            software_version=identity.software_version,
            started_at=identity.started_at,
            at=self._now(),
            capacity=identity.capacity,
            actions=identity.actions,
            resumable=identity.resumable,
            idempotent=identity.idempotent,
            current_tasks=self._current(),
            resources=self._known,
            pod=identity.pod,
            paused=self._announcements.paused.is_set(),
            acknowledged=self._announcements.acknowledged,
            consuming=self._listening.consuming,
            last_delivery_at=self._listening.last_delivery_at,
        )
