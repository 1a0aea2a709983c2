"""What a decision about a Task is made from, and what it may ask for."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto

from harebell_bus.envelopes import Reply, TaskRef
from harebell_crds.task import CancelMode, Priority, ReplayOf, TaskSpec, TaskStatus

from .lanes import MessageNumber
from .prerequisite import Prerequisite


@dataclass(frozen=True)
class Undelivered:
    """What the broker says of an attempt: it gave up, because whoever took the message was gone at once."""

    task: TaskRef
    attempt: int
    dispatch: int = 0
    kind: str = "Undelivered"


Report = Reply | Undelivered
"""What is heard of an attempt."""


class Sighting(Enum):
    """What is known of the agent that has the current attempt."""

    UNKNOWN = auto()
    """Not heard of since this operator started; nobody is called lost for that alone."""
    WORKING = auto()
    GONE = auto()
    """Offline, its Pod deleted, or its process started anew without the Task."""
    FORGOT = auto()
    """Alive, and has not listed the Task for longer than a reply could be on its way."""


@dataclass(frozen=True)
class Supply:
    """Agents of the Task's type that can be reached, and how many of them are idle, paused or deaf."""

    online: int
    idle: int
    paused: int = 0
    paused_by: tuple[str, ...] = ()
    """Names of what keeps them from taking work."""
    deaf: int = 0
    """How many do not listen for work though they should; none of them counts as idle."""


@dataclass(frozen=True)
class TaskObservation:
    """Everything a decision may look at."""

    uid: str
    generation: int
    created_at: datetime
    spec: TaskSpec
    status: TaskStatus
    replies: tuple[Report, ...]
    sighting: Sighting
    supply: Supply
    broker_error: str | None
    """Why nothing can be published at the moment, or None."""
    published_at: datetime | None
    """When the current attempt's message was last published, as far as is known."""
    queued_as: Priority | None
    """Priority of the message that was published last; None where it may be another than the spec's."""
    messages_waiting: int | None
    """Messages waiting in the Task's lane; None where that was not asked, or has no answer."""
    message_lost: bool
    """Whether its lane was seen to hold fewer messages than it should."""
    payload_problem: str | None
    """Why the payload cannot be sent, or None."""
    cancel_sent_at: datetime | None
    """When the agent was last told to stop the current attempt."""
    heard_until: datetime | None
    """Everything that agents said up to then is among the replies, or was before. None: nobody knows, as
    while the broker cannot be reached."""
    unseen_since: datetime | None = None
    """Since when the agent that has the current attempt was seen to be gone, or to have forgotten it."""
    prerequisites: tuple[Prerequisite, ...] = ()
    """What ``spec.dependsOn`` names, in its order."""
    missing_since: datetime | None = None
    """Since when this operator has seen one of them missing, or None."""
    cycle: tuple[str, ...] = ()
    """Tasks that wait for one another if this one is among them, the first repeated at the end."""
    needed: bool = False
    """Whether an unfinished Task depends on this one."""
    original: ReplayOf | None = None
    """The Task of the same ``idempotencyKey`` that is done in place of this one."""


class EventType(StrEnum):
    """Types of Kubernetes Events."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True)
class EventNote:
    """An Event to record on the Task."""

    type: EventType
    reason: str
    message: str


@dataclass(frozen=True)
class StopOrder:
    """An agent to be told to stop an attempt."""

    agent_id: str
    attempt: int
    mode: CancelMode
    reason: str
    fences: bool = False
    """Whether the attempt is none that counts, and the agent only does not know."""
    hand_back: bool = False
    """It is to go on later, from its checkpoint."""


@dataclass(frozen=True)
class TaskDecision:
    """What is to be done.

    ``publish`` and ``dead_letter`` come first; unless they succeed, nothing else of the decision happens.
    """

    status: TaskStatus
    publish: bool = False
    """Publish the work message of ``status.attempt`` and ``status.dispatch``."""
    supersede: MessageNumber | None = None
    """Tell the agents first that earlier messages than this one are not to be begun."""
    dead_letter: bool = False
    """Publish the Task to the dead letters."""
    stop: tuple[StopOrder, ...] = ()
    delete: bool = False
    events: tuple[EventNote, ...] = ()
    stale_replies: int = 0
    """Replies that were not of the current attempt and changed nothing."""
    wake_at: datetime | None = None
    """When to look again though nothing was observed."""
    hear_out: bool = False
    """Look again as soon as everything that agents have said so far is heard."""
