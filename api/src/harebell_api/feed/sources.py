"""What streams are made from."""

from dataclasses import dataclass, field

from harebell_api.archive import Archive
from harebell_api.tasks import Tasks

from .feed import Feed
from .message import End, Messages


@dataclass(frozen=True)
class Patience:
    """How long a stream waits for what, in seconds."""

    catch_up: float = 10.0
    """For the watch to bring what the client has seen elsewhere."""
    archive: float = 5.0
    """For the archive to have what was deleted a moment ago."""
    ask_again: float = 1.0
    """Between two questions to the archive."""
    idle: float = 20.0
    """Without a change, before the client is told that there is none."""


@dataclass(frozen=True)
class Sources:
    """What every stream is made from."""

    tasks: Tasks
    feed: Feed
    archive: Archive | None = None
    patience: Patience = field(default_factory=Patience)
    messages: Messages = field(default_factory=Messages)


class ResetError(Exception):
    """What the client was told before does not count; the message says why."""


class EndedError(Exception):
    """The stream is over."""

    def __init__(self, end: End) -> None:
        super().__init__(end.reason)
        self.end = end
