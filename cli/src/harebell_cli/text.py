"""What is printed: so that nothing that an agent or a manifest says can steer a terminal."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

_UNPRINTABLE_IN_JSON = re.compile(
    "[\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ud800-\\udfff\\ufeff]"
)


def say(text: str) -> None:
    """Print for whoever asked, on standard output."""
    _write(sys.stdout, text)


def note(text: str) -> None:
    """Print what is said beside, on standard error."""
    _write(sys.stderr, text)


def say_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(as_json(value, ascii_only=not utf8), flush=True)


def as_json(value: Any, *, ascii_only: bool = False) -> str:
    """Return a value as JSON, in which everything that a terminal would take for an order is escaped."""
    written = json.dumps(value, indent=2, ensure_ascii=ascii_only)
    return _UNPRINTABLE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def clean(text: str) -> str:
    """Return text with everything escaped that is not printable; lines stay lines."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def in_one_line(text: str) -> str:
    """Return text with its line breaks as spaces."""
    return " ".join(text.split())


def indented(text: str, by: str) -> str:
    """Return text whose second and later lines are indented, so that none passes for one of ours."""
    return text.strip().replace("\n", f"\n{by}")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first of which has the headings, in columns; an empty cell is ``-``."""
    cells = [[clean(in_one_line(cell)) or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def some(names: Iterable[str], most: int = 5) -> str:
    """Return names, and of more than ``most`` how many there are besides."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def _write(stream: Any, text: str) -> None:
    written = clean(text)
    encoding = stream.encoding or "utf-8"
    print(written.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _escaped(character: str) -> str:
    return "    " if character == "\t" else character.encode("unicode_escape").decode()
