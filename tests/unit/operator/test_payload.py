"""What cannot be sent is named before anything recursive touches it."""

from typing import Any

import pytest

from harebell_crds.task import MAX_PAYLOAD_BYTES
from harebell_operator.decide.payload import MAX_PAYLOAD_DEPTH, payload_problem


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels - 1):
        value = [value]
    return {"p": value}


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ({}, None),
        ({"t": "x" * (MAX_PAYLOAD_BYTES - 8)}, None),
        ({"t": "x" * (MAX_PAYLOAD_BYTES - 7)}, "bytes"),
        ({"t": "\u20ac" * (MAX_PAYLOAD_BYTES // 3)}, "bytes"),
        (nested(MAX_PAYLOAD_DEPTH - 1), None),
        (nested(MAX_PAYLOAD_DEPTH), "levels"),
        (nested(50_000), "levels"),
    ],
    ids=["empty", "fits", "one-too-many", "unicode", "deep", "too-deep", "hostile"],
)
def test_payload_problem(payload: dict[str, Any], named: str | None) -> None:
    problem = payload_problem(payload)
    assert (problem is None) if named is None else (named in str(problem))
