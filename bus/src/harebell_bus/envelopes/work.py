"""Operator to agents of a type: what is to be done."""

from typing import Annotated, Any, Literal

from pydantic import Field

from .base import VERSION, Envelope, Moment, TaskRef


class Work(Envelope):
    """One attempt at a Task, for any agent of the type."""

    version: Literal[1] = VERSION
    kind: Literal["Work"] = "Work"
    task: TaskRef
    attempt: Annotated[int, Field(ge=1)]
    dispatch: Annotated[int, Field(ge=0)] = 0
    """Counts the messages of a Task that took the place of an earlier one, as when its priority changed."""
    agent_type: str
    action: str
    payload: dict[str, Any]
    inputs: dict[str, Any] = Field(default_factory=dict)
    """Results of the Tasks that this one depends on, by name; null for one that did not succeed."""
    priority: str
    active_deadline_seconds: int | None = None
    checkpoint: Any = None
    """What an earlier attempt saved, to go on from. Null: from the beginning."""
    published_at: Moment
    operator: str = ""
    """The operator's process that published it. The agent asks about messages of any but the newest, see
    :class:`.replies.Started`."""
