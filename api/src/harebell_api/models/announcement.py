"""Announcements, as they are made and shown."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from harebell_crds.announcement import (
    MAX_NAMED,
    Acknowledgement,
    AgentSelector,
    AnnouncementKind,
    AnnouncementPhase,
    AnnouncementSpec,
)
from harebell_crds.conditions import Condition
from harebell_crds.model import Time

from .dispatch import NAME_PATTERN, PREFIX_PATTERN
from .document import Document
from .parameters import EARLIEST, LATEST


class SelectorRequest(AgentSelector):
    """Which agents: those that meet everything that is said. Empty: all."""

    model_config = ConfigDict(extra="forbid")


class AnnouncementRequest(AnnouncementSpec):
    """What is to be announced, and what the Announcement is to be called."""

    model_config = ConfigDict(extra="forbid")

    agent_selector: Annotated[SelectorRequest, Field(description="Which agents it is for. Empty: all.")] = (
        SelectorRequest()
    )
    expires_at: Annotated[
        Time | None,
        Field(
            ge=EARLIEST,
            le=LATEST,
            description="When it ends by itself. Absent: when it is deleted; RFC 3339.",
        ),
    ] = None
    name: Annotated[
        str | None,
        Field(max_length=253, pattern=NAME_PATTERN, description="Its name. Default: a generated one."),
    ] = None
    generate_name: Annotated[
        str | None,
        Field(max_length=58, pattern=PREFIX_PATTERN, description="What a generated name starts with."),
    ] = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if self.name is not None and self.generate_name is not None:
            raise ValueError("give name or generateName, not both")
        return self


class AnnouncementDocument(Document):
    """An Announcement, and who knows of it."""

    name: Annotated[str, Field(description="Name of the Announcement.")]
    namespace: Annotated[str, Field(description="Its namespace.")]
    uid: Annotated[str, Field(description="Its UID.")]
    resource_version: Annotated[str, Field(description="Changes with every change of the Announcement.")]
    kind: Annotated[str, Field(description=f"One of {', '.join(AnnouncementKind)}.")]
    agent_selector: Annotated[AgentSelector, Field(description="Which agents it is for. Empty: all.")]
    message: Annotated[str, Field(description="What agents, and people, are told.")]
    expires_at: Annotated[Time | None, Field(description="When it ends by itself; null: when it is deleted.")]
    phase: Annotated[
        str | None,
        Field(description=f"One of {', '.join(AnnouncementPhase)}; null: the operator has not seen it yet."),
    ]
    conditions: Annotated[list[Condition], Field(description="InForce, Acknowledged.")]
    targeted: Annotated[
        int | None, Field(description="Agents it is for, of all types; null: not counted yet.")
    ]
    acknowledged: Annotated[int | None, Field(description="Those of them that know.")]
    acknowledgements: Annotated[
        list[Acknowledgement], Field(description=f"Agents that know, by name, at most {MAX_NAMED}.")
    ]
    pending: Annotated[
        list[str],
        Field(description=f"Agents that have not said that they know, by name, at most {MAX_NAMED}."),
    ]
    created_at: Annotated[Time, Field(description="When it was made.")]


class AnnouncementPage(Document):
    """Some Announcements, newest first."""

    items: Annotated[list[AnnouncementDocument], Field(description="The Announcements.")]
    next_cursor: Annotated[str | None, Field(description="Value of cursor for what follows; null: nothing.")]
