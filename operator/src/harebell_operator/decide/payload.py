"""What makes a payload impossible to send, where no admission policy refused it."""

from typing import Any

from harebell_crds.task import MAX_PAYLOAD_BYTES

from .measure import json_bytes

MAX_PAYLOAD_DEPTH = 100
"""Levels of nesting. Every JSON reader gives up at some depth; this is far below all of theirs."""


def payload_problem(payload: dict[str, Any]) -> str | None:
    """Return why the payload cannot be sent, naming the field, or None."""
    # Not recursive: this is what stands between hostile nesting and everything that is.
    level: list[Any] = [payload]
    for _ in range(MAX_PAYLOAD_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            break
    else:
        return f"spec.payload is nested more than {MAX_PAYLOAD_DEPTH} levels deep"
    size = json_bytes(payload)
    if size > MAX_PAYLOAD_BYTES:
        return f"spec.payload is {size} bytes as JSON; {MAX_PAYLOAD_BYTES} are allowed"
    return None
