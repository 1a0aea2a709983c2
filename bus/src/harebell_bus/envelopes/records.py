"""Operator to the history: what is recorded when nothing else would tell."""

from typing import Annotated, Any, Literal

from pydantic import Field

from .base import VERSION, Envelope, Moment, TaskRef


class Removed(Envelope):
    """A Task as it was when it was deleted. For the history: with its messages, it says what became of it."""

    version: Literal[1] = VERSION
    kind: Literal["Removed"] = "Removed"
    task: TaskRef
    at: Moment
    agent_type: str
    attempt: Annotated[int, Field(ge=0)]
    created_at: Moment
    labels: dict[str, str]
    spec: dict[str, Any]
    """As in the resource, without the payload: that is in the Task's Work."""
    status: dict[str, Any]
    """As in the resource."""
