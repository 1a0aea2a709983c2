"""What the operator knows, in memory. Rebuilt from the resources, the replies and the heartbeats at start."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from aio_pika.abc import AbstractIncomingMessage

from harebell_bus.envelopes import Heartbeat
from harebell_bus.lanes import Lane
from harebell_crds.agent import AgentPhase, AgentStatus, CurrentTask
from harebell_crds.announcement import AnnouncementSpec, AnnouncementStatus
from harebell_crds.task import Priority, TaskSpec, TaskStatus

from .decide.lanes import lane_for
from .decide.observation import Report
from .decide.standing import Announced, Position


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
    deleted: bool = False

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


class Store:
    """All Tasks and Announcements by UID and all Agents by name, with the indexes the operator looks things
    up by."""

    def __init__(self) -> None:
        self.announcements: dict[str, AnnouncementEntry] = {}
        self.tasks: dict[str, TaskEntry] = {}
        self.agents: dict[str, AgentEntry] = {}
        self._tasks_by_agent: dict[str, set[str]] = {}
        self._republished: set[str] = set()

    def assign(self, uid: str, before: str | None, after: str | None) -> None:
        """Record that the Task's current attempt moved from one agent to another."""
        if before == after:
            return
        if before is not None:
            self._tasks_by_agent.get(before, set()).discard(uid)
        if after is not None:
            self._tasks_by_agent.setdefault(after, set()).add(uid)

    def tasks_of(self, agent: str) -> Iterable[TaskEntry]:
        """Return the unfinished Tasks whose current attempt is the agent's."""
        entries = (self.tasks.get(uid) for uid in tuple(self._tasks_by_agent.get(agent, ())))
        return [e for e in entries if e is not None and not (e.status.phase and e.status.phase.terminal)]

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
            self.assign(uid, entry.status.agent_name, None)
            self._republished.discard(uid)
        return entry

    def phases(self) -> Counter[str]:
        """Count Tasks by phase."""
        return Counter((t.status.phase or "Pending") for t in self.tasks.values())

    def agent_phases(self) -> Counter[tuple[str, str]]:
        """Count Agents by type and phase."""
        return Counter((a.agent_type, a.status.phase or AgentPhase.OFFLINE) for a in self.agents.values())
