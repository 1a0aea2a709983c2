"""Announcement: something all agents, or some of them, are to know, or to keep to."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .conditions import Condition
from .model import MicroTime, Model, NullIsEmpty, Time
from .schema import rule
from .task import AGENT_TYPE_PATTERN

MAX_MESSAGE_LENGTH = 4096
MAX_NAMED = 200
"""Agents named in a status, in each list; the object stays small however many there are. Counts are exact."""


class AnnouncementKind(StrEnum):
    """What an announcement is about."""

    PAUSE = "Pause"
    """Agents finish what they do, and take nothing new."""
    RESUME = "Resume"
    """Ends the effect of earlier Pauses."""
    MAINTENANCE = "Maintenance"
    QUOTA_ALERT = "QuotaAlert"
    NOTICE = "Notice"


class AnnouncementPhase(StrEnum):
    """Whether an announcement is in force."""

    ACTIVE = "Active"
    EXPIRED = "Expired"
    SUPERSEDED = "Superseded"
    """A later Resume ends this Pause for all it is for, or a later Pause this Resume."""


class AgentSelector(Model):
    """Which agents: those that meet everything that is said. Empty: all."""

    types: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63, pattern=AGENT_TYPE_PATTERN)], ...],
        Field(max_length=100, description="Agents of one of these types."),
        NullIsEmpty,
    ] = ()
    names: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...],
        Field(max_length=100, description="Agents of one of these names."),
        NullIsEmpty,
    ] = ()
    match_labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(max_length=20, description="Agents whose Agent resource has all of these labels."),
    ] = Field(default_factory=dict)


class AnnouncementSpec(Model):
    """What is announced. Only expiresAt may change later."""

    kind: Annotated[
        AnnouncementKind,
        Field(description="Pause: agents finish what they do and take nothing new, until a later Resume."),
        rule("self == oldSelf", "spec.kind is immutable"),
    ]
    agent_selector: Annotated[
        AgentSelector,
        Field(description="Which agents it is for. Empty: all."),
        rule("self == oldSelf", "spec.agentSelector is immutable"),
    ] = AgentSelector()
    message: Annotated[
        str,
        Field(max_length=MAX_MESSAGE_LENGTH, description="What agents, and people, are told."),
        rule("self == oldSelf", "spec.message is immutable"),
    ] = ""
    expires_at: Annotated[
        Time | None, Field(description="When it ends by itself. Absent: when it is deleted.")
    ] = None


class Acknowledgement(Model):
    """An agent that knows, and keeps to it."""

    agent: Annotated[str, Field(description="Name of the agent.")]
    at: Annotated[MicroTime, Field(description="When the operator heard so.")]


class AnnouncementStatus(Model):
    """Who knows. Written by the operator alone. Stays as it was when the announcement ends."""

    observed_generation: Annotated[int | None, Field(description="metadata.generation last acted on.")] = None
    phase: Annotated[AnnouncementPhase | None, Field(description="Whether it is in force.")] = None
    conditions: Annotated[
        tuple[Condition, ...], NullIsEmpty, Field(description="InForce, Acknowledged.")
    ] = ()
    targeted: Annotated[int | None, Field(ge=0, description="Agents it is for.")] = None
    acknowledged: Annotated[int | None, Field(ge=0, description="Those of them that know.")] = None
    acknowledgements: Annotated[
        tuple[Acknowledgement, ...],
        NullIsEmpty,
        Field(description=f"Agents that know, by name, at most {MAX_NAMED}."),
    ] = ()
    pending: Annotated[
        tuple[str, ...],
        NullIsEmpty,
        Field(description=f"Agents that have not said that they know, by name, at most {MAX_NAMED}."),
    ] = ()


class AnnouncementCondition(StrEnum):
    """Types of an Announcement's conditions."""

    IN_FORCE = "InForce"
    """False says what ended it."""
    ACKNOWLEDGED = "Acknowledged"
    """True: every agent it is for knows. False names those that do not."""
