"""Who waits for which agents, and for about how long: changed as the cache of Tasks is, and read without it.

The order is that of the operator's lanes but for one thing: of the same priority, Tasks kept in memory and on
disk wait in lanes of their own, and here by the time they were queued.
"""

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from harebell_crds.task import Priority, TaskPhase

from .records import AgentRecord, TaskRecord
from .runtimes import RunTimes

_RANKS = {priority.value: rank for rank, priority in enumerate(Priority)}


class Waiter(NamedTuple):
    """A Queued Task, as it compares to others."""

    rank: int
    """Of its priority; the most urgent is 0."""
    queued_at: str
    """RFC 3339 with microseconds, so that the order of the text is that of time."""
    name: str
    action: str


class Runner(NamedTuple):
    """A Running Task."""

    action: str
    agent: str | None
    begun: str | None


@dataclass
class _Queue:
    """The Tasks of one type of agent."""

    waiting: list[Waiter] = field(default_factory=list)
    """In the order in which they are taken."""
    running: dict[str, Runner] = field(default_factory=dict)


class Queues:
    """The Tasks that wait and run, by type of agent."""

    def __init__(
        self,
        agents: Callable[[], Iterable[AgentRecord]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._agents, self._now = agents, now
        self._queues: dict[str, _Queue] = {}
        self._times = RunTimes()

    def changed(self, before: TaskRecord | None, after: TaskRecord | None) -> None:
        """Take in that a Task appeared, changed or went."""
        if before is not None:
            self._leave(before)
        if after is not None:
            self._enter(after)
            succeeded = after.phase == TaskPhase.SUCCEEDED and not (before and before.finished)
            if succeeded and after.started_at and after.completed_at:
                begun, ended = _moment(after.started_at), _moment(after.completed_at)
                self._times.ended(after.agent_type, after.action, begun, ended)

    def place(self, task: TaskRecord) -> dict[str, Any] | None:
        """Return where a Queued Task stands, as :class:`.models.QueuePlace` describes it; None for others."""
        queue = self._queues.get(task.agent_type)
        if task.phase != TaskPhase.QUEUED or queue is None:
            return None
        ahead = bisect_left(queue.waiting, _waiter(task))
        return {
            "position": ahead + 1,
            "ahead": ahead,
            "estimatedStartSeconds": self._estimate(task.agent_type, queue, ahead),
        }

    def overview(self, sees: Callable[[str], bool]) -> list[dict[str, Any]]:
        """Return the queues of the types that ``sees`` is true of, by type.

        Each is as :class:`.models.QueueDocument` describes it.
        """
        crews: dict[str, list[AgentRecord]] = {}
        for agent in self._agents():
            crews.setdefault(agent.agent_type, []).append(agent)
        return [
            self._document(agent_type, self._queues.get(agent_type) or _Queue(), crews.get(agent_type, []))
            for agent_type in sorted(self._queues.keys() | crews.keys())
            if sees(agent_type)
        ]

    def _document(self, agent_type: str, queue: _Queue, crew: list[AgentRecord]) -> dict[str, Any]:
        bounds = [bisect_left(queue.waiting, (rank,)) for rank in range(len(_RANKS) + 1)]
        oldest = min((queue.waiting[b].queued_at for b in bounds if b < len(queue.waiting)), default=None)
        reachable = [a for a in crew if a.online]
        return {
            "agentType": agent_type,
            "waiting": {name: bounds[rank + 1] - bounds[rank] for name, rank in _RANKS.items()},
            "running": len(queue.running),
            "oldestWaitingSeconds": self._since(oldest) if oldest else None,
            "agents": {
                "online": len(reachable),
                "idle": sum(a.takes_work and a.load < a.capacity for a in reachable),
                "paused": sum(a.paused for a in reachable),
                "notConsuming": sum(a.deaf for a in reachable),
            },
        }

    def _estimate(self, agent_type: str, queue: _Queue, ahead: int) -> int | None:
        """Return in how many seconds a Task with so many ahead of it may start, or None: nobody can say.

        As if each Task took the mean of its action, and each were taken by whichever agent is free first.
        """
        crew = {a.name: a.capacity for a in self._agents() if a.agent_type == agent_type and a.takes_work}
        running = [r for r in queue.running.values() if r.agent in crew]
        free = sum(crew.values()) - len(running)
        if not crew or ahead < free:
            return 0 if crew else None
        first = queue.waiting[:ahead]
        actions = {waiter.action for waiter in first} | {runner.action for runner in running}
        means = {action: self._times.mean(agent_type, action) for action in actions}
        seconds = {action: mean for action, mean in means.items() if mean is not None}
        if len(seconds) < len(means):
            return None
        # One that takes longer than the mean may end at any moment, as far as anybody knows.
        slots = [max(0.0, seconds[r.action] - (self._since(r.begun) if r.begun else 0.0)) for r in running]
        slots += [0.0] * max(0, free)
        heapq.heapify(slots)
        for waiter in first:
            heapq.heapreplace(slots, slots[0] + seconds[waiter.action])
        return max(1, math.ceil(slots[0]))

    def _since(self, moment: str) -> float:
        return max(0.0, (self._now() - _moment(moment)).total_seconds())

    def _enter(self, task: TaskRecord) -> None:
        if task.phase == TaskPhase.QUEUED:
            insort(self._queues.setdefault(task.agent_type, _Queue()).waiting, _waiter(task))
        elif task.phase == TaskPhase.RUNNING:
            runner = Runner(task.action, task.agent_name, task.started_at)
            self._queues.setdefault(task.agent_type, _Queue()).running[task.name] = runner

    def _leave(self, task: TaskRecord) -> None:
        queue = self._queues.get(task.agent_type)
        if queue is None:
            return
        if task.phase == TaskPhase.QUEUED:
            del queue.waiting[bisect_left(queue.waiting, _waiter(task))]
        elif task.phase == TaskPhase.RUNNING:
            del queue.running[task.name]
        if not queue.waiting and not queue.running:
            del self._queues[task.agent_type]


def _waiter(task: TaskRecord) -> Waiter:
    rank = _RANKS.get(task.priority, len(_RANKS) - 1)
    return Waiter(rank, task.queued_at or "", task.name, task.action)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
