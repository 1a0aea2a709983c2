"""What happened to Tasks, as it is shown."""

from typing import Annotated, Any

from pydantic import Field

from harebell_crds.model import MicroTime

from .document import Document
from .task import TaskDocument


class MessageDocument(Document):
    """A message about a Task, as the broker carried it."""

    id: Annotated[str, Field(description="Differs for every message that was archived.")]
    time: Annotated[MicroTime, Field(description="When the broker took it.")]
    sent_at: Annotated[MicroTime | None, Field(description="When its sender says that it sent it.")]
    kind: Annotated[
        str,
        Field(
            description="Work (an attempt is offered), Started, Progressed, Checkpointed, Succeeded, Failed,"
            " Cancelled, Interrupted, CancelTask, SuspendTask, or Removed (the Task was deleted)."
        ),
    ]
    exchange: Annotated[str, Field(description="Where it was sent; harebell.dead-letters: it was given up.")]
    attempt: Annotated[int | None, Field(description="Attempt that it is about.")]
    agent_name: Annotated[str | None, Field(description="Agent that sent it, or that it was for.")]
    reason: Annotated[str | None, Field(description="Reason or code that it names.")]
    content: Annotated[
        dict[str, Any] | None,
        Field(
            description="What it says, as the AsyncAPI document describes it, without payload, inputs,"
            " checkpoints and idempotency key. Null: the archive could not keep it as JSON."
        ),
    ]


class MessagePage(Document):
    """Messages about a Task, the oldest first."""

    items: Annotated[list[MessageDocument], Field(description="The messages.")]
    next_cursor: Annotated[str | None, Field(description="Value of cursor for what follows; null: nothing.")]


class PastTaskDocument(TaskDocument):
    """A Task that was deleted, as it was then."""

    removed_at: Annotated[MicroTime, Field(description="When it was deleted.")]


class PastTaskPage(Document):
    """Tasks that were deleted, the one deleted last first."""

    items: Annotated[list[PastTaskDocument], Field(description="The Tasks.")]
    next_cursor: Annotated[str | None, Field(description="Value of cursor for what follows; null: nothing.")]
