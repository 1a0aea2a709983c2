"""Random interleavings of everything that can happen to a Task, against what must hold of it.

A failure names its seed: ``make properties ARGS="--runs 1 --seed N"`` runs that one again.
"""

import pytest
from tests.unit.operator.simulation.broken import FAULTS, Fault, broken
from tests.unit.operator.simulation.run import first_broken, interleaving

from harebell_operator.decide.task import decide

RUNS = 2_000
BUDGET = 3_000
"""Interleavings within which every fault must show."""


def test_the_rules_hold_whatever_happens() -> None:
    ends = {interleaving(seed) for seed in range(RUNS)}
    assert ends == {"Succeeded", "Failed", "Cancelled", "DeadLettered"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_faulty_decision_is_caught(fault: Fault) -> None:
    assert first_broken(range(BUDGET), broken(fault, decide)) is not None


def test_the_same_seed_makes_the_same_interleaving() -> None:
    faulty = broken(FAULTS[0], decide)
    first = first_broken(range(BUDGET), faulty)
    assert first is not None
    assert first == first_broken([first.seed], faulty)
