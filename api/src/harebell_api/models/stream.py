"""What streams tell."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from .document import Document
from .task import TaskDocument

_Cursor = Annotated[
    str, Field(description="Give it as `cursor`, or as `Last-Event-ID`, to go on after this message.")
]


class TaskMessage(Document):
    """A Task, whole: as it is, or as it was last."""

    type: Annotated[
        Literal["snapshot", "update", "left", "deleted"],
        Field(
            description="snapshot: as it is at the beginning. update: a new state, or a new Task. left: it is"
            " not among the Tasks asked for any more. deleted: it is gone. The last two may be about a Task"
            " that was not told of before."
        ),
    ]
    cursor: _Cursor
    task: TaskDocument


class SyncedMessage(Document):
    """Everything up to here was told: after the snapshot, after what a cursor lacked, and now and then."""

    type: Literal["synced"]
    cursor: _Cursor


class ResetMessage(Document):
    """What was told before does not count: forget it. A snapshot follows."""

    type: Literal["reset"]
    cursor: _Cursor
    reason: Annotated[str, Field(description="Why, for people.")]


class EndMessage(Document):
    """The last event of an event stream that ends for another reason than its Task's end."""

    type: Literal["end"]
    code: Annotated[int, Field(description="As the close codes of the WebSocket.")]
    reason: Annotated[str, Field(description="Why, for people.")]


class StreamMessage(
    RootModel[
        Annotated[
            TaskMessage | SyncedMessage | ResetMessage | EndMessage,
            Field(discriminator="type"),
        ]
    ]
):
    """What a WebSocket sends, and what the data of a server-sent event is."""
