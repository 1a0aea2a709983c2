"""Agent to operator: what became of an attempt."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from .base import VERSION, AgentRef, Envelope, Moment, TaskRef


class _Reply(Envelope):
    """What an agent says of one attempt."""

    version: Literal[1] = VERSION
    task: TaskRef
    attempt: Annotated[int, Field(ge=1)]
    agent: AgentRef
    at: Moment


class Started(_Reply):
    """The agent has begun; sent, and confirmed, before the work message is acknowledged."""

    kind: Literal["Started"] = "Started"
    begun: bool = True
    """False of a message that came back, while nothing has looked into it. Another Started, with what the
    action declares, is confirmed before the action is begun."""
    resumable: bool = False
    """Whether the action declares that it goes on from a checkpoint."""
    idempotent: bool = True
    """Whether it declares that it may be done again from the beginning."""
    asks: bool = False
    """Whether the action is begun only after Proceed, or when neither that nor CancelTask comes for long: an
    operator before the one that the agent knows published the message, and the Task may be gone."""


class Progressed(_Reply):
    """How far the action has come."""

    kind: Literal["Progressed"] = "Progressed"
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    message: str | None = None


class Checkpointed(_Reply):
    """What the action saved in order to go on from there; of an attempt the newest counts. Sent before the
    outcome."""

    kind: Literal["Checkpointed"] = "Checkpointed"
    data: Any = None


class Succeeded(_Reply):
    """The action returned."""

    kind: Literal["Succeeded"] = "Succeeded"
    result: Any = None


class Failed(_Reply):
    """The action raised, or could not be begun."""

    kind: Literal["Failed"] = "Failed"
    code: str
    message: str
    retryable: bool = True


class Cancelled(_Reply):
    """The action was stopped because the operator said so."""

    kind: Literal["Cancelled"] = "Cancelled"


class InterruptionCause(StrEnum):
    """Why an agent hands work back."""

    SHUTDOWN = "Shutdown"
    """It is being shut down."""
    SUSPENDED = "Suspended"
    """The operator said SuspendTask."""
    REDELIVERED = "Redelivered"
    """The message came back, so another agent may have begun what must not be done twice."""


class Interrupted(_Reply):
    """The agent hands the work back."""

    kind: Literal["Interrupted"] = "Interrupted"
    cause: InterruptionCause = InterruptionCause.SHUTDOWN
    begun: bool = True
    """Whether the action had begun. False: it has done nothing."""
    message: str = ""


Reply = Annotated[
    Started | Progressed | Checkpointed | Succeeded | Failed | Cancelled | Interrupted,
    Field(discriminator="kind"),
]
