"""What other clients may put into properties, and what is read of it."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from pamqp import commands, decode, frame, header

from harebell_bus.decoding import MAX_DEPTH, tolerate

tolerate()

Raw = bytes


def short(text: bytes) -> Raw:
    return bytes([len(text)]) + text


def long(content: bytes) -> Raw:
    return struct.pack(">I", len(content)) + content


def table(**entries: bytes) -> Raw:
    return long(b"".join(short(name.encode()) + value for name, value in entries.items()))


def nested(levels: int) -> bytes:
    """An array within an array, that many."""
    value = b""
    for _ in range(levels):
        value = b"A" + long(value)
    return value


def read(flags: int, properties: bytes) -> commands.Basic.Properties:
    """Read a content header as a connection does."""
    payload = struct.pack(">HHQH", 60, 0, 2, flags) + properties
    found = frame.unmarshal(struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce")[2]
    assert isinstance(found, header.ContentHeader)
    return found.properties


def headers(entries: bytes) -> Any:
    return read(1 << 13, entries).headers


FAR = struct.pack(">Q", 1_700_000_000_000_000)
"""A time in microseconds. Read as milliseconds, it is in the year 55840."""
NEAR = struct.pack(">Q", 1_700_000_000)


@pytest.mark.parametrize("value", [FAR, b"\xff" * 8], ids=["microseconds", "all bits"])
def test_a_time_that_cannot_be_is_none(value: bytes) -> None:
    assert read(1 << 6, value).timestamp is None
    number = int.from_bytes(value)
    assert headers(table(at=b"T" + value, then=b"I\0\0\0\7")) == {"at": number, "then": 7}


def test_a_time_is_a_time() -> None:
    assert read(1 << 6, NEAR).timestamp == datetime.fromtimestamp(1_700_000_000, UTC)


def test_text_that_is_not_utf_8_is_replaced() -> None:
    properties = read(1 << 15 | 1 << 5, short(b"text/\xff") + short("Grüße".encode()))
    assert properties.content_type == "text/�"
    assert properties.message_type == "Grüße"
    assert headers(long(short(b"n\xfc") + b"S" + long(b"\xfe\xff"))) == {"n�": b"\xfe\xff"}


def test_what_is_nested_too_deep_is_empty() -> None:
    found = headers(table(deep=nested(20_000), offset=b"l" + struct.pack(">q", 41)))
    assert found["offset"] == 41
    levels = 0
    value = found["deep"]
    while value:
        (value,) = value
        levels += 1
    assert levels == MAX_DEPTH - 1
    assert headers(table(flat=nested(2))) == {"flat": [[]]}


def test_what_was_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than its frame"):
        decode.by_type(struct.pack(">I", 9) + b"\0", "table")
