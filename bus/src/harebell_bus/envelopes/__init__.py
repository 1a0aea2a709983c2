"""The messages, as JSON objects with a ``version`` and a ``kind``.

A reader ignores fields it does not know, so a field may be added within a version; removing one or changing
its meaning takes a new version. Times are RFC 3339 with microseconds, UTC.
"""

from .base import VERSION, AgentRef, Envelope, TaskRef
from .commands import (
    Announcement,
    CancelMode,
    CancelTask,
    Command,
    Newest,
    Proceed,
    Query,
    Standing,
    Superseded,
    SuspendTask,
    Welcome,
    WorkQueues,
)
from .heartbeats import Cpu, CurrentTask, Gpu, Heartbeat, HeartbeatReason, Memory, PodRef, Resources
from .records import Removed
from .replies import (
    Cancelled,
    Checkpointed,
    Failed,
    Interrupted,
    InterruptionCause,
    Progressed,
    Reply,
    Started,
    Succeeded,
)
from .reports import ArchiveReport, ArchiverState
from .work import Work

__all__ = [
    "VERSION",
    "AgentRef",
    "Announcement",
    "ArchiveReport",
    "ArchiverState",
    "CancelMode",
    "CancelTask",
    "Cancelled",
    "Checkpointed",
    "Command",
    "Cpu",
    "CurrentTask",
    "Envelope",
    "Failed",
    "Gpu",
    "Heartbeat",
    "HeartbeatReason",
    "Interrupted",
    "InterruptionCause",
    "Memory",
    "Message",
    "Newest",
    "PodRef",
    "Proceed",
    "Progressed",
    "Query",
    "Removed",
    "Reply",
    "Resources",
    "Standing",
    "Started",
    "Succeeded",
    "Superseded",
    "SuspendTask",
    "TaskRef",
    "Welcome",
    "Work",
    "WorkQueues",
]

Message = (
    Work
    | Started
    | Progressed
    | Checkpointed
    | Succeeded
    | Failed
    | Cancelled
    | Interrupted
    | Removed
    | Heartbeat
    | ArchiveReport
    | (Welcome | WorkQueues)
    | (CancelTask | Proceed | SuspendTask | Query)
    | Standing
    | Superseded
)
"""Any message as a whole."""
