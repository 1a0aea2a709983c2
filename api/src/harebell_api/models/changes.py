"""The requests that change Tasks."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from harebell_crds.task import CancelMode, Priority


class ReplayRequest(BaseModel):
    """Which dead-lettered Tasks to do again."""

    model_config = ConfigDict(
        extra="forbid",
        alias_generator=to_camel,
        json_schema_extra={"examples": [{"labelSelector": "team=web", "agentTypes": ["text"]}]},
    )

    label_selector: Annotated[
        str, Field(max_length=1024, description="Only with these labels, as in `kubectl get -l`.")
    ] = ""
    agent_types: Annotated[list[str], Field(description="Only for any of these types of agent.")] = Field(
        default_factory=list
    )
    limit: Annotated[int, Field(ge=1, le=500, description="How many at most, newest first.")] = 100
    cursor: Annotated[
        str | None,
        Field(max_length=1024, description="nextCursor of the answer before: go on with older ones."),
    ] = None


class CancelRequest(BaseModel):
    """How the Task is to be cancelled."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"mode": "Immediate"}]})

    mode: Annotated[
        CancelMode,
        Field(description="Graceful lets the action clean up; Immediate does not wait for it."),
    ] = CancelMode.GRACEFUL


class PriorityRequest(BaseModel):
    """What is to change of a waiting Task."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"priority": "critical"}]})

    priority: Annotated[Priority, Field(description="Of the waiting Tasks, the most urgent runs first.")]
