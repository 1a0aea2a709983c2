"""Properties and headers that a Python client cannot hold, read without losing the connection.

A broker passes on what a client in any language put into a message's properties: a timestamp in
microseconds, text that is not UTF-8, tables within tables within tables. pamqp raises for these, aiormq then
takes the frame for broken and closes the connection, and the message, which nobody could acknowledge, comes
again after each reconnect. :func:`tolerate` has pamqp read them as nothing, or with replacement characters;
whoever looks at the message can then say what it lacks, and bury it.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from pamqp import decode

MAX_DEPTH: Final = 16
"""Levels of tables and arrays within each other that are read; what is below is read as empty."""

Decoded = tuple[int, Any]
"""How many bytes it took, and the value."""


def tolerate() -> None:
    """Have pamqp decode what it would refuse. Repeating it changes nothing."""
    decode.METHODS |= {
        "shortstr": _short_string,
        "longstr": _long_string,
        "timestamp": _timestamp,
        "table": _table,
        "array": _array,
    }
    decode.TABLE_MAPPING |= {b"S": _long_string, b"T": _time_in_table, b"F": _table, b"A": _array}


def _timestamp(value: bytes) -> Decoded:
    """Seconds or milliseconds since 1970, as pamqp takes them; None for a time that Python cannot hold."""
    try:
        return decode.timestamp(value)
    except (OverflowError, ValueError, OSError):
        return 8, None


def _time_in_table(value: bytes) -> Decoded:
    """As the property, but the number itself where Python cannot hold the time: it may be of use."""
    taken, time = _timestamp(value)
    return taken, time if time is not None else struct.unpack_from(">Q", value)[0]


def _short_string(value: bytes) -> Decoded:
    end = 1 + value[0]
    return end, value[1:end].decode(errors="replace")


def _long_string(value: bytes) -> Decoded:
    end = 4 + _length(value)
    text = value[4:end]
    try:
        return end, text.decode()
    except UnicodeDecodeError:
        return end, text


def _table(value: bytes) -> Decoded:
    return _nested(value, _entries, {})


def _array(value: bytes) -> Decoded:
    return _nested(value, _items, [])


_depth = 0


def _nested(value: bytes, read: Callable[[bytes], Any], empty: Any) -> Decoded:
    """Read what is within a length; ``empty`` when it is too deep. Frames are decoded by one thread."""
    global _depth
    end = 4 + _length(value)
    if end > len(value):
        raise ValueError("a table or an array is longer than its frame")
    if _depth >= MAX_DEPTH:
        return end, empty
    _depth += 1
    try:
        return end, read(value[4:end])
    finally:
        _depth -= 1


def _entries(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    at = 0
    while at < len(content):
        taken, name = _short_string(content[at:])
        at += taken
        taken, found[name] = decode.embedded_value(content[at:])
        at += taken
    return found


def _items(content: bytes) -> list[Any]:
    found: list[Any] = []
    at = 0
    while at < len(content):
        taken, item = decode.embedded_value(content[at:])
        at += taken
        found.append(item)
    return found


def _length(value: bytes) -> int:
    try:
        return int(struct.unpack_from(">I", value)[0])
    except struct.error as error:
        raise ValueError("a length was cut off") from error
