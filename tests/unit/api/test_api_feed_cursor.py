import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harebell_api.feed.cursor import MAX_LENGTH, Cursor, OneTask, Point, Start, decode, digest, encode
from harebell_api.feed.selection import WEIGHTS
from harebell_api.queries import CursorError

CURSORS = (
    Start("0123456789ab"),
    Point("0123456789ab", "ba9876543210", 5, 7, 1_770_000_000, None),
    Point("0123456789ab", "ba9876543210", 5, 7, 1_770_000_000, WEIGHTS - 1),
    Point("", "", 2**63 - 1, 2**63 - 1, 2**63 - 1, 0),
    OneTask("0123456789ab", "00000000-0000-0000-0000-000000000001", 7),
    OneTask("0123456789ab", "00000000-0000-0000-0000-000000000001", 7, over=True),
)


@pytest.mark.parametrize("cursor", CURSORS)
def test_what_is_written_is_read(cursor: Cursor) -> None:
    text = encode(cursor)
    assert decode(text) == cursor
    assert len(text) <= MAX_LENGTH
    assert text.isascii()
    assert not set(text) & set("=&+/ \n"), "it is for URLs and headers"


@pytest.mark.parametrize(
    "parts",
    [
        None,
        {},
        [],
        [1],
        [1, "s"],
        [1, "s", 5],
        [1, "s", "a", "b"],
        [1, "p", "a", "b", 1, 2, 3],
        [1, "p", "a", "b", -1, 2, 3, None],
        [1, "p", "a", "b", 1, True, 3, None],
        [1, "p", "a", "b", 1, 2.5, 3, None],
        [1, "p", "a", "b", 1, 2, 1 << 63, None],
        [1, "p", "a", "b", 1, 2, 3, WEIGHTS],
        [1, "p", "a", "b", 1, 2, 3, "4"],
        [1, "t", "a", "b", 1],
        [1, "t", "a", "b", "1", False],
        [1, "t", "a", "b", 1, 0],
        [1, "x", "a"],
        ["1", "s", "a"],
        [True, "s", "a"],
    ],
)
def test_what_nobody_gave_out_is_refused(parts: Any) -> None:
    with pytest.raises(CursorError, match="not a cursor"):
        decode(_text(parts))


def test_a_cursor_of_another_format_says_so() -> None:
    with pytest.raises(CursorError, match="format 2"):
        decode(_text([2, "s", "a"]))


@pytest.mark.parametrize("text", ["", "!", "abc", "x" * 10_000, encode(CURSORS[1])[:-3], "\u20ac"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(CursorError):
        decode(text)


@given(st.text(max_size=100))
def test_no_text_breaks_it(text: str) -> None:
    with suppress(CursorError):
        decode(text)


def test_digests() -> None:
    assert digest("a", frozenset("bc")) == digest("a", frozenset("cb"))
    parts: list[tuple[Any, ...]] = [("a",), ("b",), ("a", "b"), ("a", None), ("a", frozenset()), ("ab",)]
    assert len({digest(*p) for p in parts}) == len(parts)


def _text(parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")
