"""What the parameters of a list may be. Values of one parameter given several times are alternatives."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from harebell_crds.agent import AgentPhase
from harebell_crds.announcement import AnnouncementKind, AnnouncementPhase
from harebell_crds.task import AGENT_TYPE_PATTERN, Priority, TaskPhase


def _member(kind: type[StrEnum]) -> BeforeValidator:
    """Return what lets a parameter name a member of an enumeration in any case."""
    members = {member.value.lower(): member for member in kind}
    return BeforeValidator(
        lambda value: members.get(value.lower(), value) if isinstance(value, str) else value
    )


EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Of times that clients give: far enough from what Python and PostgreSQL can express."""
MAX_VALUES = 50
"""Of one parameter."""
_AgentTypes = Annotated[
    list[Annotated[str, Field(max_length=63, pattern=AGENT_TYPE_PATTERN)]],
    Field(max_length=MAX_VALUES, description="Only of any of these types of agent."),
]
_Moment = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST)]
_Limit = Annotated[int, Field(ge=1, le=500, description="How many at most.")]
_Cursor = Annotated[str | None, Field(max_length=1024, description="nextCursor of the page before this one.")]
_LabelSelector = Annotated[
    str, Field(max_length=1024, description="Only with these labels, as in `kubectl get -l`.")
]


class TaskQuery(BaseModel):
    """Which Tasks to list. Values of one parameter given several times are alternatives."""

    model_config = ConfigDict(extra="forbid")

    phase: Annotated[
        list[Annotated[TaskPhase, _member(TaskPhase)]],
        Field(max_length=MAX_VALUES, description="Only in any of these phases."),
    ] = Field(default_factory=list)
    agent_type: _AgentTypes = Field(default_factory=list)
    priority: Annotated[
        list[Annotated[Priority, _member(Priority)]],
        Field(max_length=MAX_VALUES, description="Only of any of these priorities."),
    ] = Field(default_factory=list)
    label_selector: _LabelSelector = ""
    limit: _Limit = 100
    cursor: _Cursor = None


class AgentQuery(BaseModel):
    """Which agents to list. Values of one parameter given several times are alternatives."""

    model_config = ConfigDict(extra="forbid")

    agent_type: _AgentTypes = Field(default_factory=list)
    status: Annotated[
        list[Annotated[AgentPhase, _member(AgentPhase)]],
        Field(max_length=MAX_VALUES, description="Only in any of these statuses, in upper or lower case."),
    ] = Field(default_factory=list)


class AnnouncementQuery(BaseModel):
    """Which Announcements to list. Values of one parameter given several times are alternatives."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[
        list[Annotated[AnnouncementKind, _member(AnnouncementKind)]],
        Field(max_length=MAX_VALUES, description="Only of any of these kinds."),
    ] = Field(default_factory=list)
    phase: Annotated[
        list[Annotated[AnnouncementPhase, _member(AnnouncementPhase)]],
        Field(max_length=MAX_VALUES, description="Only in any of these phases."),
    ] = Field(default_factory=list)
    limit: _Limit = 100
    cursor: _Cursor = None


class MessageQuery(BaseModel):
    """Which messages of a Task to show."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100, description="How many at most.")] = 50
    cursor: _Cursor = None


class HistoryQuery(BaseModel):
    """Which Tasks that were deleted to list. Values of one parameter given several times are alternatives."""

    model_config = ConfigDict(extra="forbid")

    phase: Annotated[
        list[Annotated[TaskPhase, _member(TaskPhase)]],
        Field(max_length=MAX_VALUES, description="Only those that were in any of these phases."),
    ] = Field(default_factory=list)
    agent_type: _AgentTypes = Field(default_factory=list)
    label_selector: _LabelSelector = ""
    since: Annotated[
        _Moment | None, Field(alias="from", description="Only those deleted at this time or later; RFC 3339.")
    ] = None
    until: Annotated[
        _Moment | None, Field(alias="to", description="Only those deleted before this time; RFC 3339.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=100, description="How many at most.")] = 50
    cursor: _Cursor = None


class StreamQuery(BaseModel):
    """Which Tasks to follow: one, or those that a selection chooses; without parameters, all."""

    model_config = ConfigDict(extra="forbid")

    task_id: Annotated[
        str | None,
        Field(min_length=1, description="Name or UID of the one Task to follow, until it has finished."),
    ] = None
    phase: Annotated[
        list[Annotated[TaskPhase, _member(TaskPhase)]],
        Field(max_length=MAX_VALUES, description="Only in any of these phases."),
    ] = Field(default_factory=list)
    agent_type: _AgentTypes = Field(default_factory=list)
    label_selector: _LabelSelector = ""
    cursor: Annotated[
        str | None,
        Field(max_length=1024, description="Of the last message received: go on from there."),
    ] = None
