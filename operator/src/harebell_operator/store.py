"""What the operator knows, in memory. Rebuilt from the resources, the replies and the heartbeats at start."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from aio_pika.abc import AbstractIncomingMessage

from harebell_bus.envelopes import Heartbeat
from harebell_bus.lanes import Lane
from harebell_crds.agent import AgentCondition, AgentPhase, AgentStatus, CurrentTask
from harebell_crds.announcement import AnnouncementSpec, AnnouncementStatus
from harebell_crds.conditions import ConditionStatus, find_condition
from harebell_crds.pool import AgentPoolSpec, AgentPoolStatus
from harebell_crds.task import Priority, TaskPhase, TaskSpec, TaskStatus

from .decide.duplicates import Claim
from .decide.lanes import lane_for
from .decide.observation import Report
from .decide.pod import PodFacts
from .decide.pool import Setback
from .decide.standing import Announced, Drain, Order, Position
from .heard import Heard


@dataclass(frozen=True)
class Delivery:
    """A report, and the message it came in, to be acknowledged when its effect is written."""

    reply: Report
    message: AbstractIncomingMessage


@dataclass(frozen=True)
class Sent:
    """The last publish of a Task's message by this operator."""

    attempt: int
    at: datetime
    lane: Lane


@dataclass
class TaskEntry:
    """One Task."""

    namespace: str
    name: str
    uid: str
    generation: int
    created_at: datetime
    spec: TaskSpec
    status: TaskStatus
    """As decided; the operator is its only writer, so this is newer than what a watch shows."""
    written: TaskStatus
    """As last written to the API server."""
    payload_problem: str | None = None
    inbox: list[Delivery] = field(default_factory=list)
    unacked: list[AbstractIncomingMessage] = field(default_factory=list)
    dirty_since: datetime | None = None
    sent: Sent | None = None
    queued_as: Priority | None = None
    """Priority of the message that was published last; None: not known."""
    message_lost: bool = False
    """The broker was seen to have lost it."""
    broker_error: str | None = None
    cancel_sent: tuple[int, datetime] | None = None
    """Attempt and time of the last stop order."""
    unseen_since: datetime | None = None
    """Since when the agent of the current attempt is seen as gone, or as having forgotten it."""
    lane_empty_since: datetime | None = None
    """Since when its lane is seen empty, though it waits in it."""
    missing_since: datetime | None = None
    """Since when a Task that it depends on was seen not to exist, or None."""
    deleted: bool = False
    recorded: bool = False
    """The history knows how it ended; it is about to be deleted."""
    starting: bool = False
    """Its first message is being published, though no status says so yet."""

    @property
    def claim(self) -> Claim:
        """What its claim to its ``idempotencyKey`` rests on."""
        duplicate = self.status.duplicate_of is not None
        ended = self.status.phase is not None and self.status.phase.terminal
        begun = self.starting or self.status.attempt > 0 or ended
        return Claim(self.uid, self.name, self.created_at, begun and not duplicate, duplicate)

    def forget_payload(self) -> None:
        """Drop the payload if the Task has finished: nobody is given it any more, and there may be a week of
        such Tasks."""
        if self.written.phase is not None and self.written.phase.terminal:
            self.spec = self.spec.model_copy(update={"payload": {}})

    @property
    def lane(self) -> Lane:
        """Where the message of the current attempt was published, by this operator or the one before."""
        sent = self.sent
        return sent.lane if sent and sent.attempt == self.status.attempt else lane_for(self.spec)


@dataclass
class AgentEntry:
    """One agent."""

    name: str
    agent_type: str
    exists: bool
    """Whether its resource is known to exist."""
    generation: int
    status: AgentStatus
    last_seen: datetime
    tasks_changed_at: datetime
    labels: dict[str, str]
    """Of its resource."""
    heartbeat: Heartbeat | None = None
    heartbeat_at: datetime | None = None
    tasks: dict[str, CurrentTask] = field(default_factory=dict)
    missing_since: dict[str, datetime] = field(default_factory=dict)
    """Tasks that the operator believes it runs, and since when its heartbeats have not listed them."""
    gone: str | None = None
    told: tuple[Position, datetime] | None = None
    """What this process of it was last told to keep to, and when."""
    order: Order | None = None
    """What the spec asks of it."""
    uid: str = ""
    """Of its resource; empty while that is not known."""
    owned: bool = False
    """Whether its resource has an owner."""
    deaf_since: datetime | None = None
    """Since when its heartbeats have said that it does not listen for work though it should."""

    @property
    def instance(self) -> str | None:
        """The newest known start of its process."""
        return self.heartbeat.agent.instance if self.heartbeat else self.status.instance


@dataclass
class AnnouncementEntry:
    """One Announcement."""

    name: str
    uid: str
    generation: int
    created_at: datetime
    spec: AnnouncementSpec
    status: AnnouncementStatus
    """As decided."""
    written: AnnouncementStatus
    """As last written to the API server."""
    acknowledged: dict[str, datetime] = field(default_factory=dict)
    """Agents that know, and when they were first heard to."""
    dirty_since: datetime | None = None

    @property
    def announced(self) -> Announced:
        """The announcement as decisions see it."""
        return Announced(self.uid, self.name, self.created_at, self.spec)


@dataclass
class PodEntry:
    """One Pod of an AgentPool."""

    facts: PodFacts
    """As last observed."""
    since: datetime = field(kw_only=True)
    """When this operator first saw it."""
    drain: Drain | None = None
    """While it is to be removed."""
    deleted: bool = False
    """Whether this operator has deleted it; it may take a while to end."""


@dataclass
class PoolEntry:
    """One AgentPool."""

    name: str
    uid: str
    generation: int
    spec: AgentPoolSpec
    status: AgentPoolStatus
    """As decided."""
    written: AgentPoolStatus
    """As last written to the API server."""
    setback: Setback | None = None
    deleted: bool = False
    """Whether it is being deleted, as its finalizers allow."""
    dirty_since: datetime | None = None

    def counts(self) -> dict[str, int]:
        """Return how many Pods there are to be, and how many there are, by state."""
        status = self.status
        return {
            "desired": self.spec.replicas,
            "current": status.replicas,
            "ready": status.ready_replicas,
            "busy": status.busy_replicas,
            "draining": status.draining_replicas,
            "updated": status.updated_replicas,
        }


class Store:
    """All Agents by name and everything else by UID, with the indexes the operator looks things up by."""

    def __init__(self) -> None:
        self.pools: dict[str, PoolEntry] = {}
        self.pods: dict[str, PodEntry] = {}
        """Those of AgentPools."""
        self.announcements: dict[str, AnnouncementEntry] = {}
        self.tasks: dict[str, TaskEntry] = {}
        self.agents: dict[str, AgentEntry] = {}
        self._tasks_by_agent: dict[str, set[str]] = {}
        self._republished: set[str] = set()
        self._tasks_by_key: dict[str, set[str]] = {}
        self._inherited: dict[str, set[Lane]] = {}
        self.heard = Heard()
        """For lists, which may be older."""

    def add_task(self, entry: TaskEntry) -> None:
        """Take in a Task."""
        self.tasks[entry.uid] = entry
        if (key := entry.spec.idempotency_key) is not None:
            self._tasks_by_key.setdefault(key, set()).add(entry.uid)
        if entry.status.phase == TaskPhase.QUEUED:
            self._inherited.setdefault(entry.spec.agent_type, set()).add(entry.lane)
        self.dispatched(entry)
        self.assign(entry.uid, None, entry.status)

    def inherited_lanes(self, agent_type: str) -> frozenset[Lane]:
        """Return the lanes that Tasks of a type waited in when they were taken in: an earlier operator used
        them."""
        return frozenset(self._inherited.get(agent_type, ()))

    def claims(self, key: str | None) -> list[Claim]:
        """Return the claims of all Tasks to a key, or none where there is no key."""
        return [self.tasks[uid].claim for uid in self._tasks_by_key.get(key, ())] if key is not None else []

    def assign(self, uid: str, before: TaskStatus | None, after: TaskStatus | None) -> None:
        """Record that the Task's current attempt moved from one agent to another, or ended with the Task."""
        had, has = _holder(before), _holder(after)
        if had == has:
            return
        if had is not None and (tasks := self._tasks_by_agent.get(had)) is not None:
            tasks.discard(uid)
            if not tasks:
                # Pods come and go under ever new names.
                del self._tasks_by_agent[had]
        if has is not None:
            self._tasks_by_agent.setdefault(has, set()).add(uid)

    def tasks_of(self, agent: str) -> Iterable[TaskEntry]:
        """Return the unfinished Tasks whose current attempt is the agent's."""
        return [self.tasks[uid] for uid in self._tasks_by_agent.get(agent, ())]

    def dispatched(self, entry: TaskEntry) -> None:
        """Record whether earlier messages of the Task may still wait in a queue."""
        if entry.status.dispatch:
            self._republished.add(entry.uid)

    def republished(self, agent_type: str) -> list[TaskEntry]:
        """Return the Tasks of a type of which earlier messages may still wait in a queue."""
        entries = (self.tasks[uid] for uid in self._republished)
        return [e for e in entries if e.spec.agent_type == agent_type]

    def drop_task(self, uid: str) -> TaskEntry | None:
        """Forget a Task."""
        entry = self.tasks.pop(uid, None)
        if entry is not None:
            self.assign(uid, entry.status, None)
            self._republished.discard(uid)
            if (key := entry.spec.idempotency_key) is not None:
                self._tasks_by_key[key].discard(uid)
                if not self._tasks_by_key[key]:
                    del self._tasks_by_key[key]
        return entry

    def pod_of(self, agent: AgentEntry) -> PodEntry | None:
        """Return the Pod of an AgentPool that the agent said it runs in, or None."""
        pod = agent.heartbeat.pod if agent.heartbeat else None
        return self.pods.get(pod.uid) if pod else None

    def queue_depths(self) -> Counter[str]:
        """Count Tasks that wait for an agent, by type; 0 for types that are served."""
        depths = Counter(t.spec.agent_type for t in self.tasks.values() if t.status.phase == TaskPhase.QUEUED)
        served = {a.agent_type for a in self.agents.values()} | {p.spec.type for p in self.pools.values()}
        depths.update(dict.fromkeys(served, 0))
        return depths

    def longest_waiting(self) -> dict[str, datetime]:
        """Return since when the Task waits that has waited longest for an agent, by type, where one waits."""
        oldest: dict[str, datetime] = {}
        for task in self.tasks.values():
            since = task.status.queued_at if task.status.phase == TaskPhase.QUEUED else None
            if since is not None:
                kind = task.spec.agent_type
                oldest[kind] = min(since, oldest.get(kind, since))
        return oldest

    def phases(self) -> Counter[str]:
        """Count Tasks by phase."""
        return Counter((t.status.phase or "Pending") for t in self.tasks.values())

    def agent_phases(self) -> Counter[tuple[str, str]]:
        """Count Agents by type and phase."""
        return Counter((a.agent_type, a.status.phase or AgentPhase.OFFLINE) for a in self.agents.values())

    def deaf_agents(self) -> Counter[str]:
        """Count Agents that do not listen for work though they should, by type; 0 for types without."""
        counts = Counter({a.agent_type: 0 for a in self.agents.values()})
        for agent in self.agents.values():
            consuming = find_condition(agent.status.conditions, AgentCondition.CONSUMING)
            counts[agent.agent_type] += consuming is not None and consuming.status == ConditionStatus.FALSE
        return counts


def _holder(status: TaskStatus | None) -> str | None:
    """Return the agent that has a Task which is not finished."""
    if status is None or (status.phase is not None and status.phase.terminal):
        return None
    return status.agent_name
