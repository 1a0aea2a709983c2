"""What commands change, and what they leave."""

from typing import Any

import pytest

from harebell_cli.changes import (
    Change,
    Impossible,
    Needless,
    Verdict,
    cancelling,
    ordering,
    prioritizing,
    suspending,
)
from harebell_cli.conditions import is_true

from .objects import agent, task

_GRACEFUL, _IMMEDIATE = {"cancel": "Graceful"}, {"cancel": "Immediate"}
FINISHED = ("Succeeded", "Failed", "Cancelled", "DeadLettered")


def kind_of(verdict: Verdict) -> Any:
    return dict(verdict.spec) if isinstance(verdict, Change) else type(verdict)


@pytest.mark.parametrize(
    ("spec", "immediate", "expected"),
    [
        ({}, False, _GRACEFUL),
        ({}, True, _IMMEDIATE),
        (_GRACEFUL, False, Needless),
        (_GRACEFUL, True, _IMMEDIATE),
        (_IMMEDIATE, False, Needless),  # the API server would refuse to take it back
        (_IMMEDIATE, True, Needless),
    ],
)
def test_cancelling(spec: dict[str, Any], immediate: bool, expected: Any) -> None:
    for phase in (None, "Pending", "Queued", "Running"):
        assert kind_of(cancelling(task(phase=phase, spec=spec).raw, immediate=immediate)) == expected


@pytest.mark.parametrize(
    ("now", "wanted", "expected"),
    [
        (None, True, {"suspend": True}),
        (False, True, {"suspend": True}),
        (True, True, Needless),
        (True, False, {"suspend": False}),
        (None, False, Needless),
    ],
)
def test_suspending(now: bool | None, wanted: bool, expected: Any) -> None:
    found = task(phase="Queued", spec={} if now is None else {"suspend": now})
    assert kind_of(suspending(found.raw, wanted=wanted)) == expected


@pytest.mark.parametrize(
    ("phase", "level", "expected"),
    [
        (None, "high", {"priority": "high"}),
        ("Queued", "high", {"priority": "high"}),
        ("Queued", "normal", Needless),
        ("Running", "high", Impossible),
    ],
)
def test_priorities(phase: str | None, level: str, expected: Any) -> None:
    assert kind_of(prioritizing(task(phase=phase).raw, level=level)) == expected


@pytest.mark.parametrize("phase", FINISHED)
def test_what_has_finished_stays(phase: str) -> None:
    raw = task(phase=phase).raw
    for verdict in (
        cancelling(raw, immediate=False),
        suspending(raw, wanted=True),
        suspending(raw, wanted=False),
        prioritizing(raw, level="low"),
    ):
        assert verdict == Impossible(f"has finished: it is {phase}")


def test_orders_to_agents() -> None:
    asked = {"member": "drain", "done": "draining"}
    assert kind_of(ordering(agent(), wanted=True, **asked)) == {"drain": True}
    assert kind_of(ordering(agent(), wanted=False, **asked)) is Needless
    assert kind_of(ordering(agent(spec={"drain": True}), wanted=True, **asked)) is Needless
    assert kind_of(ordering(agent(spec={"drain": True}), wanted=False, **asked)) == {"drain": False}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"status": "True"}, True),
        ({"status": "True", "observedGeneration": 1}, True),
        ({"status": "True", "observedGeneration": 0}, False),  # said before the spec changed
        ({"status": "False", "observedGeneration": 1}, False),
        ({"status": "True", "type": "Ready"}, False),
    ],
)
def test_a_condition_counts_for_the_spec_it_was_set_for(condition: dict[str, Any], expected: bool) -> None:
    assert is_true(agent(conditions=[{"type": "Drained", **condition}]), "Drained") is expected
