"""Headers and properties that pamqp alone does not read."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode, encode

from harebell_archive.lenient import be_lenient, nested, property_time, short_string, table, time

FAR = struct.pack(">Q", 2**64 - 1)


@pytest.fixture(autouse=True)
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of decoders, restored afterwards."""
    for name in ("METHODS", "TABLE_MAPPING"):
        monkeypatch.setattr(decode, name, dict(getattr(decode, name)))
    be_lenient()


def packed(*entries: tuple[bytes, bytes]) -> bytes:
    content = b"".join(bytes([len(key)]) + key + value for key, value in entries)
    return struct.pack(">I", len(content)) + content


def test_what_can_be_read_is_read_as_ever() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    headers: dict[str, Any] = {"a": 1, "b": "ä", "c": at, "d": {"e": [1, {"f": None}]}, "g": True, "h": 0.5}
    text = encode.field_table(headers)
    assert decode.by_type(text, "table") == (len(text), headers) == decode.field_table(text)
    assert decode.by_type(encode.timestamp(at), "timestamp") == (8, at)
    assert decode.by_type(encode.short_string("ä") + b"more", "shortstr") == (3, "ä")


def test_times_that_there_are_not() -> None:
    assert time(FAR) == (8, 2**64 - 1)
    assert property_time(FAR) == (8, None)
    text = packed((b"when", b"T" + FAR), (b"next", b"t\x01"))
    assert decode.by_type(text, "table") == (len(text), {"when": 2**64 - 1, "next": True})


def test_strings_that_are_no_utf_8() -> None:
    assert short_string(b"\x02\xffx") == (3, "\ufffdx")
    text = packed((b"\xff", b"t\x01"))
    assert table(text) == (len(text), {"\ufffd": True})


@pytest.mark.parametrize("tag", [b"F", b"A"])
def test_tables_and_arrays_too_deep_to_be_read(tag: bytes) -> None:
    deep = b"V"
    for _ in range(3000):
        deep = tag + (packed((b"k", deep)) if tag == b"F" else struct.pack(">I", len(deep)) + deep)
    text = packed((b"deep", deep), (b"offset", b"l" + struct.pack(">q", 7)))
    size, found = table(text)
    assert (size, found["offset"]) == (len(text), 7)


HEADERS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 2**31)
    | st.text(max_size=20)
    | st.binary(max_size=9).map(bytearray),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=9), HEADERS, max_size=5))
def test_headers_are_those_that_pamqp_reads(headers: dict[str, Any]) -> None:
    text = encode.field_table(headers)
    assert table(text) == decode.field_table(text)


def test_only_depth_is_forgiven() -> None:
    def broken(_: bytes) -> tuple[int, Any]:
        raise ValueError("no such type")

    with pytest.raises(ValueError, match="no such type"):
        nested(broken)(b"")
