"""Agent: one running agent, as it described itself."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .conditions import Condition
from .model import Model, NullIsEmpty, Time
from .schema import rule
from .task import AGENT_TYPE_PATTERN


class AgentPhase(StrEnum):
    """Whether an agent can be reached, and whether it works."""

    ONLINE = "Online"
    BUSY = "Busy"
    PAUSED = "Paused"
    """Online, and takes no work because it was told so. While it finishes some, it is Busy."""
    DRAINING = "Draining"
    """Takes no more work because its spec says so; the condition Drained says whether it has finished."""
    OFFLINE = "Offline"


class AgentSpec(Model):
    """What the agent is."""

    type: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=AGENT_TYPE_PATTERN,
            description="Type of work the agent takes.",
        ),
        rule("self == oldSelf", "spec.type is immutable"),
    ]
    paused: Annotated[
        bool, Field(description="The agent finishes what it does and takes nothing new until this is false.")
    ] = False
    drain: Annotated[
        bool, Field(description="As paused, for an agent that is to go; the phase is Draining.")
    ] = False


class CurrentTask(Model):
    """A Task the agent says it is doing."""

    namespace: Annotated[str, Field(description="Namespace of the Task.")]
    name: Annotated[str, Field(description="Name of the Task.")]
    uid: Annotated[str, Field(description="UID of the Task.")]
    attempt: Annotated[int, Field(ge=1, description="Which attempt at it.")]


class Capabilities(Model):
    """What the agent can do."""

    actions: Annotated[tuple[str, ...], NullIsEmpty, Field(description="Actions the agent offers.")] = ()
    resumable: Annotated[
        tuple[str, ...], NullIsEmpty, Field(description="Those that go on from a checkpoint.")
    ] = ()
    idempotent: Annotated[
        tuple[str, ...], NullIsEmpty, Field(description="Those that may be done again from the beginning.")
    ] = ()


class Cpu(Model):
    """Processors of the agent's machine or container, and how busy they are."""

    cores: Annotated[int | None, Field(ge=0, description="Number of logical processors.")] = None
    utilization_percent: Annotated[
        int | None, Field(ge=0, description="Share in use, over all processors.")
    ] = None


class Memory(Model):
    """Memory of the agent's machine or container."""

    total_bytes: Annotated[int | None, Field(ge=0, description="How much there is.")] = None
    used_bytes: Annotated[int | None, Field(ge=0, description="How much is in use.")] = None


class Gpu(Model):
    """One GPU. A figure that could not be read is absent, never 0."""

    index: Annotated[int, Field(ge=0, description="Index as the driver counts.")]
    uuid: Annotated[str | None, Field(description="The driver's name for the device.")] = None
    name: Annotated[str | None, Field(description="Product name.")] = None
    memory_total_bytes: Annotated[int | None, Field(ge=0, description="Size of the GPU's memory.")] = None
    memory_used_bytes: Annotated[int | None, Field(ge=0, description="GPU memory in use.")] = None
    utilization_percent: Annotated[int | None, Field(ge=0, le=100, description="Share of time in use.")] = (
        None
    )
    mig: Annotated[bool | None, Field(description="Whether the GPU is split in MIG instances.")] = None


class Resources(Model):
    """Figures of the last heartbeat."""

    cpu: Annotated[Cpu, Field(description="Processors.")] = Cpu()
    memory: Annotated[Memory, Field(description="Memory.")] = Memory()
    gpus: Annotated[
        tuple[Gpu, ...] | None,
        Field(description="GPUs; empty: none; absent: could not be read, see gpusReason."),
    ] = None
    gpus_reason: Annotated[str | None, Field(description="Why gpus is absent.")] = None


class Summary(Model):
    """The figures as ``kubectl get agents`` prints them."""

    task: Annotated[str | None, Field(description="The current Task, and how many more.")] = None
    cpu: Annotated[str | None, Field(description="CPU utilization.")] = None
    gpu_memory: Annotated[str | None, Field(description="GPU memory used and total, over all GPUs.")] = None


class AgentStatus(Model):
    """What the agent reported. Written by the operator alone."""

    observed_generation: Annotated[int | None, Field(description="metadata.generation last acted on.")] = None
    phase: Annotated[AgentPhase | None, Field(description="Whether the agent can be reached, and works.")] = (
        None
    )
    reason: Annotated[str | None, Field(description="Why it is in this phase, as one CamelCase word.")] = None
    conditions: Annotated[
        tuple[Condition, ...], NullIsEmpty, Field(description="Ready, Consuming, Drained.")
    ] = ()
    instance: Annotated[str | None, Field(description="Start of the agent's process, by its own id.")] = None
    version: Annotated[str | None, Field(description="Version of the agent's software.")] = None
    registered_at: Annotated[Time | None, Field(description="When this instance registered.")] = None
    last_heartbeat_time: Annotated[Time | None, Field(description="When it was last heard of.")] = None
    last_delivery_time: Annotated[
        Time | None, Field(description="When it last received a message with work.")
    ] = None
    pod_name: Annotated[str | None, Field(description="Pod it runs in.")] = None
    node_name: Annotated[str | None, Field(description="Node it runs on.")] = None
    capacity: Annotated[
        int | None, Field(ge=1, description="Tasks it works on at the same time, at most.")
    ] = None
    current_tasks: Annotated[
        tuple[CurrentTask, ...], NullIsEmpty, Field(description="What it works on.")
    ] = ()
    capabilities: Annotated[Capabilities, Field(description="What it can do.")] = Capabilities()
    resources: Annotated[Resources, Field(description="Figures of the last heartbeat.")] = Resources()
    summary: Annotated[Summary, Field(description="The figures as kubectl prints them.")] = Summary()


class AgentCondition(StrEnum):
    """Types of an Agent's conditions."""

    READY = "Ready"
    CONSUMING = "Consuming"
    """False while an online agent that should take work does not listen for any."""
    DRAINED = "Drained"
    """There while the spec pauses or drains the agent: it knows, and has no Task any more."""
