"""Lets any message be read off the connection, whatever its sender put into headers and properties.

The broker passes on timestamps of any 64 bits, strings that are no UTF-8, and tables as deep as fits. On
each of these pamqp fails, which ends the connection, and the next one at the same offset, and so on for ever.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from pamqp import decode

Decoder = Callable[[bytes], tuple[int, Any]]
"""Returns how many bytes a value takes, and what it is (AMQP 0-9-1, 4.2.5)."""

_LENGTH: Final = struct.Struct(">I")
_SECONDS: Final = struct.Struct(">Q")


def short_string(value: bytes) -> tuple[int, str]:
    """Decode a string, with a mark in place of what is no UTF-8."""
    end = 1 + value[0]
    return end, value[1:end].decode(errors="replace")


def table(value: bytes) -> tuple[int, dict[str, Any]]:
    """Decode a table, such as all headers are; a key is a string as above."""
    end = _LENGTH.size + _LENGTH.unpack_from(value)[0]
    found: dict[str, Any] = {}
    offset = _LENGTH.size
    while offset < end:
        size, key = short_string(value[offset:end])
        offset += size
        size, found[key] = decode.embedded_value(value[offset:end])
        offset += size
    return end, found


def nested(decoder: Decoder) -> Decoder:
    """Return a decoder of a table or array within another, which is None where it is too deep."""

    def decoded(value: bytes) -> tuple[int, Any]:
        try:
            return decoder(value)
        except RecursionError:
            return _LENGTH.size + _LENGTH.unpack_from(value)[0], None

    return decoded


def time(value: bytes) -> tuple[int, Any]:
    """Decode a timestamp of a header; the number itself where there is no such time."""
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError):
        return _SECONDS.size, _SECONDS.unpack_from(value)[0]


def property_time(value: bytes) -> tuple[int, Any]:
    """Decode the timestamp of a message; None where there is no such time."""
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError):
        return _SECONDS.size, None


def be_lenient() -> None:
    """Have pamqp decode so, in this whole process."""
    decode.METHODS |= {"shortstr": short_string, "table": table, "timestamp": property_time}
    decode.TABLE_MAPPING |= {b"F": nested(table), b"A": nested(decode.field_array), b"T": time}
