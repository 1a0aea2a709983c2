"""Agent to operator: that it lives, what it does, and with what."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from .base import VERSION, AgentRef, Envelope, Moment, TaskRef


class HeartbeatReason(StrEnum):
    """Why a heartbeat was sent."""

    REGISTERED = "Registered"
    """The agent just connected, and waits for a Welcome."""
    INTERVAL = "Interval"
    QUERIED = "Queried"
    """The operator asked, or told the agent something that it answers for."""
    LEAVING = "Leaving"
    """The agent is shutting down; no more will come."""


class CurrentTask(Envelope):
    """An attempt the agent works on."""

    task: TaskRef
    attempt: Annotated[int, Field(ge=1)]


class Cpu(Envelope):
    """Processors; a figure that could not be read is null."""

    cores: int | None = None
    utilization_percent: int | None = None


class Memory(Envelope):
    """Memory in bytes; a figure that could not be read is null."""

    total_bytes: int | None = None
    used_bytes: int | None = None


class Gpu(Envelope):
    """One GPU; a figure that could not be read is null, never 0."""

    index: int
    uuid: str | None = None
    name: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    utilization_percent: int | None = None
    mig: bool | None = None


class Resources(Envelope):
    """What the agent's machine or container has and uses."""

    cpu: Cpu = Cpu()
    memory: Memory = Memory()
    gpus: tuple[Gpu, ...] | None = None
    """Empty: there is none. Null: could not be read, and ``gpus_reason`` says why."""
    gpus_reason: str | None = None


class PodRef(Envelope):
    """The Pod an agent runs in."""

    namespace: str
    name: str
    uid: str
    node_name: str | None = None


class Heartbeat(Envelope):
    """Everything the operator needs to know of an agent; each one stands alone, the newest wins."""

    version: Literal[1] = VERSION
    kind: Literal["Heartbeat"] = "Heartbeat"
    reason: HeartbeatReason
    agent: AgentRef
    agent_type: str
    software_version: str
    started_at: Moment
    at: Moment
    capacity: Annotated[int, Field(ge=1)] = 1
    actions: tuple[str, ...] = ()
    resumable: tuple[str, ...] = ()
    """Those of its actions that go on from a checkpoint."""
    idempotent: tuple[str, ...] = ()
    """Those that may be done again from the beginning."""
    current_tasks: tuple[CurrentTask, ...] = ()
    resources: Resources = Resources()
    pod: PodRef | None = None
    paused: bool = False
    """Whether it takes no new work because it was told so."""
    acknowledged: tuple[str, ...] = ()
    """UIDs of the announcements in force that it was told of, and keeps to."""
    consuming: bool | None = None
    """Whether within the last minute the broker answered one of its loops that look for work, or gave it
    some. False is as it should be while it is paused or has as many Tasks as it can take. Null: it does not
    say, as while it shuts down."""
    last_delivery_at: Moment | None = None
    """When this process last received a message with work."""
