"""Bytes to envelopes and back."""

from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from .envelopes import ArchiveReport, Command, Heartbeat, Message, Reply, Work
from .errors import UnreadableMessageError

CONTENT_TYPE: Final = "application/json"

_T = TypeVar("_T")

_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)
_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
_WORK = TypeAdapter(Work)
_HEARTBEAT = TypeAdapter(Heartbeat)
_ARCHIVE_REPORT = TypeAdapter(ArchiveReport)


def encode(message: Message) -> bytes:
    """Return the message as UTF-8 JSON."""
    return message.model_dump_json(by_alias=True).encode()


def decode_work(body: bytes) -> Work:
    """Read a work message.

    :raises UnreadableMessageError: it is not one, or of a version this reader does not know.
    """
    return _decode(_WORK, body)


def decode_reply(body: bytes) -> Reply:
    """Read a reply. :raises UnreadableMessageError: see :func:`decode_work`."""
    return _decode(_REPLY, body)


def decode_command(body: bytes) -> Command:
    """Read a command. :raises UnreadableMessageError: see :func:`decode_work`."""
    return _decode(_COMMAND, body)


def decode_heartbeat(body: bytes) -> Heartbeat:
    """Read a heartbeat. :raises UnreadableMessageError: see :func:`decode_work`."""
    return _decode(_HEARTBEAT, body)


def decode_archive_report(body: bytes) -> ArchiveReport:
    """Read an archiver's report. :raises UnreadableMessageError: see :func:`decode_work`."""
    return _decode(_ARCHIVE_REPORT, body)


def _decode(adapter: TypeAdapter[_T], body: bytes) -> _T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        # Field names and rules only: the input may hold what must not reach a log.
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        summary = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['msg']}" for p in problems[:3])
        raise UnreadableMessageError(summary) from None
