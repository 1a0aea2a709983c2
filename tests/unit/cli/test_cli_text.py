"""What is printed steers no terminal, and JSON stays JSON."""

import json
from datetime import timedelta

import pytest

from harebell_cli.durations import age, spell
from harebell_cli.text import as_json, clean, indented, some, table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, grün, 漢字", "plain, grün, 漢字"),
        ("two\nlines", "two\nlines"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\rb\tc", "a\\rb    c"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "value", ["\x1b[2J", "\x9b31m", "\u202e\u2066", "\ud800", "漢字", {"\x7f": [None, 1.5]}]
)
def test_json_is_escaped_and_still_the_same(value: object) -> None:
    written = as_json(value)
    assert json.loads(written) == value
    assert clean(written) == written
    assert as_json(value, ascii_only=True).isascii()
    assert json.loads(as_json(value, ascii_only=True)) == value


def test_a_table_has_a_line_for_each_row_whatever_a_cell_holds() -> None:
    shown = table([("NAME", "WORDS"), ("a", "two\nlines"), ("long-name", ""), ("b", "\x1b[1m")])
    assert shown.splitlines() == [
        "NAME       WORDS",
        "a          two lines",
        "long-name  -",
        "b          \\x1b[1m",
    ]


def test_later_lines_of_a_message_cannot_pass_for_ours() -> None:
    assert indented("first\nSucceeded\n", "  ") == "first\n  Succeeded"


def test_names() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some("abcdefg", 3) == "a, b, c and 4 more"


@pytest.mark.parametrize(
    ("seconds", "spelt", "aged"),
    [
        (0, "0s", "0s"),
        (0.08, "80ms", "0s"),
        (2.54, "2.5s", "2s"),
        (-3, "0s", "0s"),
        (59.9, "59s", "59s"),
        (60, "1m", "1m"),
        (200, "3m20s", "3m20s"),
        (3600 * 5 + 61, "5h1m", "5h1m"),
        (86400 * 12 + 5, "12d", "12d"),
    ],
)
def test_durations_for_people(seconds: float, spelt: str, aged: str) -> None:
    assert spell(timedelta(seconds=seconds)) == spelt
    assert age(timedelta(seconds=seconds)) == aged
