"""Reads JSON that somebody may have nested deeper than it can be read or written.

Kubernetes takes objects nested some thousands of levels deep (its JSON decoder stops at 10,000), parsers and
serializers in Python a few hundred. One such object must not keep the API from reading all others, so what
lies deeper than :data:`DEEPEST` is read as null.
"""

import re
from typing import Any

from pydantic_core import from_json

DEEPEST = 180
"""Levels of containers. pydantic reads some 200, and writes 255."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def read_json(text: bytes) -> Any:
    """Return what a JSON text says. :raises ValueError: it is no JSON."""
    try:
        return from_json(text)
    except ValueError as error:
        if "recursion limit" not in str(error):
            raise
    return from_json(without_depths(text))


def without_depths(text: bytes, deepest: int = DEEPEST) -> bytes:
    """Return a JSON text with null in place of every container that is nested deeper than ``deepest``."""
    kept: list[bytes] = []
    depth = begin = 0
    for token in _TOKEN.finditer(text):
        match token[0]:
            case b"[" | b"{":
                depth += 1
                if depth == deepest + 1:
                    kept += [text[begin : token.start()], b"null"]
            case b"]" | b"}":
                if depth == deepest + 1:
                    begin = token.end()
                depth -= 1
            case _:
                pass  # a string: brackets in it are none
    kept.append(text[begin:])
    return b"".join(kept)


def depth_of(value: Any) -> int:
    """Return how many levels of containers a value has: 0 for a number, 1 for ``[]``."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        found, depth = waiting.pop()
        if isinstance(found, dict | list):
            deepest = max(deepest, depth)
            inner = found.values() if isinstance(found, dict) else found
            waiting.extend((each, depth + 1) for each in inner if isinstance(each, dict | list))
    return deepest
