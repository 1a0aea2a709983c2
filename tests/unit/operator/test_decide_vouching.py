"""Which agents that ask about an attempt are told to begin it."""

from typing import Any

import pytest

from harebell_bus.envelopes import AgentRef, Started
from harebell_crds.task import CancelMode
from harebell_operator.decide.task import decide
from harebell_operator.decide.vouching import may_begin

from .tables import ANNA, BERT, at, observed, said

QUEUED = decide(observed(), at(0)).status


def told(*asking: tuple[AgentRef, int], asks: bool = True, **given: Any) -> list[tuple[str, int]]:
    """Return who is told to begin which attempt, of those who ask one after the other."""
    replies = [
        said(Started, agent, number, seconds, asks=asks) for seconds, (agent, number) in enumerate(asking, 1)
    ]
    seen = observed(QUEUED, *replies, **given)
    decision = decide(seen, at(9))
    return [(s.agent.id, s.attempt) for s in may_begin(seen.replies, decision, seen.spec)]


def test_whoever_has_the_attempt_is() -> None:
    assert told((ANNA, 1)) == [("anna", 1)]
    assert told((ANNA, 1), asks=False) == []


def test_whoever_comes_second_is_not() -> None:
    assert told((ANNA, 1), (BERT, 1)) == [("anna", 1)]


def test_nobody_is_of_an_attempt_that_is_none() -> None:
    assert told((ANNA, 2)) == []


@pytest.mark.parametrize("given", [{"cancel": CancelMode.GRACEFUL}, {"suspend": True}], ids=str)
def test_nobody_is_of_a_task_that_is_called_off(given: dict[str, Any]) -> None:
    assert told((ANNA, 1), **given) == []
