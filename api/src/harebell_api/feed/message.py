"""The messages of the feed, each put together once however many are sent it."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

from pydantic_core import to_json

from .cursor import Cursor, encode

CACHE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Message:
    """One message, as :class:`harebell_api.models.StreamMessage` describes it."""

    type: str
    cursor: str
    text: str

    @cached_property
    def event(self) -> bytes:
        """The message as a server-sent event (WHATWG HTML, 9.2.5). Its JSON has no line breaks."""
        return f"id: {self.cursor}\nevent: {self.type}\ndata: {self.text}\n\n".encode()


@dataclass(frozen=True)
class Idle:
    """There was nothing to tell for a while."""


@dataclass(frozen=True)
class End:
    """Nothing follows: a close code of the WebSocket, and why."""

    code: int
    reason: str

    @property
    def event(self) -> bytes:
        """The end as a server-sent event."""
        return (
            b"event: end\ndata: "
            + to_json({"type": "end", "code": self.code, "reason": self.reason})
            + b"\n\n"
        )


Item = Message | Idle | End

FINISHED = 1000
"""The Task has finished, or was deleted: the last message said so."""
RESTARTING = 1012
TRY_AGAIN = 1013
"""It cannot be served now."""
UNKNOWN_TASK = 4404
TOO_SLOW = 4408
"""The client did not read."""


def of_task(kind: str, cursor: Cursor, document: bytes) -> Message:
    """Return the message that shows a Task, whose document is JSON already."""
    text = encode(cursor)
    return Message(kind, text, f'{{"type":"{kind}","cursor":"{text}","task":{document.decode()}}}')


def synced(cursor: Cursor) -> Message:
    """Return the message that says that everything up to here was told."""
    text = encode(cursor)
    return Message("synced", text, f'{{"type":"synced","cursor":"{text}"}}')


def reset(cursor: Cursor, reason: str) -> Message:
    """Return the message that says that what was told before does not count."""
    text = encode(cursor)
    body = to_json({"type": "reset", "cursor": text, "reason": reason}).decode()
    return Message("reset", text, body)


class Messages:
    """The newest messages, as many as fit, so that all who follow the same share them."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._messages: OrderedDict[tuple[object, ...], Message] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> Message | None:
        """Return a message that was kept."""
        return self._messages.get(key)

    def keep(self, key: tuple[object, ...], message: Message) -> Message:
        """Keep a message, and forget the oldest ones if need be."""
        self._messages[key] = message
        self._bytes += len(message.text)
        while self._bytes > self._max_bytes:
            _, forgotten = self._messages.popitem(last=False)
            self._bytes -= len(forgotten.text)
        return message
