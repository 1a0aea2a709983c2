"""What the parameters of a list may be. Values of one parameter given several times are alternatives."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from harebell_crds.agent import AgentPhase
from harebell_crds.task import Priority, TaskPhase


def _member(kind: type[StrEnum]) -> BeforeValidator:
    """Return what lets a parameter name a member of an enumeration in any case."""
    members = {member.value.lower(): member for member in kind}
    return BeforeValidator(
        lambda value: members.get(value.lower(), value) if isinstance(value, str) else value
    )


class TaskQuery(BaseModel):
    """Which Tasks to list. Values of one parameter given several times are alternatives."""

    model_config = ConfigDict(extra="forbid")

    phase: Annotated[
        list[Annotated[TaskPhase, _member(TaskPhase)]], Field(description="Only in any of these phases.")
    ] = Field(default_factory=list)
    agent_type: Annotated[list[str], Field(description="Only for any of these types of agent.")] = Field(
        default_factory=list
    )
    priority: Annotated[
        list[Annotated[Priority, _member(Priority)]], Field(description="Only of any of these priorities.")
    ] = Field(default_factory=list)
    label_selector: Annotated[
        str, Field(max_length=1024, description="Only with these labels, as in `kubectl get -l`.")
    ] = ""
    limit: Annotated[int, Field(ge=1, le=500, description="How many at most.")] = 100
    cursor: Annotated[
        str | None, Field(max_length=1024, description="nextCursor of the page before this one.")
    ] = None


class AgentQuery(BaseModel):
    """Which agents to list. Values of one parameter given several times are alternatives."""

    model_config = ConfigDict(extra="forbid")

    agent_type: Annotated[list[str], Field(description="Only of any of these types.")] = Field(
        default_factory=list
    )
    status: Annotated[
        list[Annotated[AgentPhase, _member(AgentPhase)]],
        Field(description="Only in any of these statuses, in upper or lower case."),
    ] = Field(default_factory=list)


class StreamQuery(BaseModel):
    """Which Tasks to follow: one, or those that a selection chooses; without parameters, all."""

    model_config = ConfigDict(extra="forbid")

    task_id: Annotated[
        str | None,
        Field(min_length=1, description="Name or UID of the one Task to follow, until it has finished."),
    ] = None
    phase: Annotated[
        list[Annotated[TaskPhase, _member(TaskPhase)]], Field(description="Only in any of these phases.")
    ] = Field(default_factory=list)
    agent_type: Annotated[list[str], Field(description="Only for any of these types of agent.")] = Field(
        default_factory=list
    )
    label_selector: Annotated[
        str, Field(max_length=1024, description="Only with these labels, as in `kubectl get -l`.")
    ] = ""
    cursor: Annotated[
        str | None,
        Field(max_length=1024, description="Of the last message received: go on from there."),
    ] = None
