"""What is known of the agents together, as Tasks ask for it."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from harebell_bus.envelopes import Started, TaskRef

from .broker import Broker
from .commands import send_proceed, send_stop
from .decide.agent import AgentObservation, is_offline
from .decide.consuming import is_deaf
from .decide.observation import Sighting, StopOrder, Supply
from .headcount import Headcount, Readiness
from .standings import Standings
from .store import AgentEntry, Store, TaskEntry

logger = logging.getLogger(__name__)

FORGOT_GRACE = timedelta(seconds=10)
"""A Task missing from a heartbeat may have ended: so long its outcome may still be on the way."""


class Workforce:
    """Who can be reached, who has room, and the way to tell one to stop."""

    def __init__(
        self,
        store: Store,
        broker: Broker,
        standings: Standings,
        clock: Callable[[], datetime],
        offline_after: timedelta,
    ) -> None:
        self._store = store
        self._broker = broker
        self._standings = standings
        self._clock = clock
        self._offline_after = offline_after
        self._started_at = clock()
        self._counts: dict[str, Headcount] = {}
        self._changed: dict[str, set[str]] = {}
        """Names of agents to count anew, by type."""
        self.fenced: set[tuple[str, str, int]] | None = None
        """While somebody counts them: agents, Tasks and numbers of attempts that were ordered to stop so."""

    def observe(self, entry: AgentEntry) -> AgentObservation:
        """Return what is known of an agent."""
        return AgentObservation(
            generation=entry.generation,
            status=entry.status,
            heartbeat=entry.heartbeat,
            last_seen=entry.last_seen,
            tasks=tuple(entry.tasks.values()),
            tasks_changed_at=entry.tasks_changed_at,
            gone=entry.gone,
            offline_after=self._offline_after,
            hearing_since=self._broker.hearing_since,
            paused_by=self._standings.of(entry).paused_by,
            order=entry.order,
            deaf_since=entry.deaf_since,
        )

    def changed(self, agent: AgentEntry) -> None:
        """Take in that an agent came, went or changed."""
        self._changed.setdefault(agent.agent_type, set()).add(agent.name)

    def sighting(self, task: TaskEntry, now: datetime) -> Sighting:
        """Say what is known of the agent that has the Task's current attempt.

        Its last words may still be on their way: see :attr:`.broker.Broker.heard_until`.
        """
        name = task.status.agent_name
        if name is None:
            return Sighting.UNKNOWN
        entry = self._store.agents.get(name)
        if entry is None:
            waited = now - self._started_at >= self._offline_after
            return Sighting.GONE if waited else Sighting.UNKNOWN
        offline = is_offline(self.observe(entry), now)
        if offline == "Left" and now - entry.last_seen < FORGOT_GRACE:
            # It said goodbye after it had handed back what it did; that comes by another queue.
            return Sighting.UNKNOWN
        came_back = entry.heartbeat and entry.heartbeat.agent.instance != task.status.agent_instance
        if offline is not None or came_back:
            return Sighting.GONE
        if entry.heartbeat is None:
            return Sighting.UNKNOWN
        since = entry.missing_since.get(task.uid)
        return Sighting.FORGOT if since is not None and now - since >= FORGOT_GRACE else Sighting.WORKING

    def supply(self, agent_type: str) -> Supply:
        """Count the agents of a type that can be reached, and those of them with room for work or paused."""
        count = self._counts.get(agent_type)
        if count is None:
            count = self._counts[agent_type] = Headcount()
            self._changed[agent_type] = {
                e.name for e in self._store.agents.values() if e.agent_type == agent_type
            }
        for name in self._changed.pop(agent_type, ()):
            entry = self._store.agents.get(name)
            same = entry is not None and entry.agent_type == agent_type
            count.put(name, self._readiness(entry) if entry is not None and same else None)
        return count.supply()

    def _readiness(self, entry: AgentEntry) -> Readiness | None:
        beat, seen = entry.heartbeat, self.observe(entry)
        if beat is None or is_offline(seen, self._clock()) is not None:
            return None
        # Those that say so and those that are being told: neither is about to take work.
        paused = beat.paused or bool(seen.paused_by)
        deaf = not paused and is_deaf(entry.deaf_since, entry.last_seen, self._offline_after)
        idle = not paused and not deaf and len(entry.tasks) < beat.capacity
        return Readiness(idle, paused, seen.paused_by, deaf)

    async def proceed(self, reply: Started) -> None:
        """Tell the agent that asked about an attempt to begin it, if it can be told now."""
        if (entry := self._store.agents.get(reply.agent.id)) is not None:
            await send_proceed(
                self._broker.publisher, entry.agent_type, reply.agent.id, reply.task, reply.attempt
            )

    async def stop(self, task: TaskRef, order: StopOrder) -> None:
        """Tell an agent to stop an attempt, if it can be told now."""
        if order.fences and self.fenced is not None:
            self.fenced.add((order.agent_id, task.uid, order.attempt))
        entry = self._store.agents.get(order.agent_id)
        if entry is None:
            logger.info("agent %s, unheard of, was not told to stop Task %s", order.agent_id, task.name)
            return
        await send_stop(self._broker.publisher, entry.agent_type, task, order)
