"""What is reported of the work that an operator found when it took over."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harebell_crds.task import Attempt, AttemptOutcome, TaskPhase, TaskStatus
from harebell_operator.decide.adoption import Fate, Found, Round, Takeover, fate, note, report
from harebell_operator.decide.observation import EventType

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def status(*outcomes: AttemptOutcome | None) -> TaskStatus:
    """A Task whose first attempts ended so; None: it has not ended."""
    attempts = tuple(
        Attempt(attempt=n, agent_name="anna", started_at=T0, outcome=outcome)
        for n, outcome in enumerate(outcomes, 1)
    )
    return TaskStatus(phase=TaskPhase.RUNNING, attempt=len(attempts), attempts=attempts)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Found(1, status(None), confirmed=True), Fate.ADOPTED),
        (Found(1, status(None), confirmed=False), Fate.OPEN),
        (Found(1, None, confirmed=False), Fate.VOID),
        # Its reply came before any heartbeat.
        (Found(1, status(AttemptOutcome.SUCCEEDED), confirmed=False), Fate.ADOPTED),
        (Found(1, status(AttemptOutcome.FAILED), confirmed=False), Fate.ADOPTED),
        (Found(1, status(AttemptOutcome.INTERRUPTED), confirmed=False), Fate.ADOPTED),
        (Found(1, status(AttemptOutcome.CANCELLED), confirmed=False), Fate.VOID),
        (Found(1, status(AttemptOutcome.LOST), confirmed=False), Fate.LOST),
        # That somebody works on the next attempt does not bring back the one that was lost.
        (Found(1, status(AttemptOutcome.LOST, None), confirmed=True), Fate.LOST),
        (Found(1, status(AttemptOutcome.LOST, AttemptOutcome.SUCCEEDED), confirmed=False), Fate.LOST),
        # What was lost before is none of this operator's.
        (Found(2, status(AttemptOutcome.LOST, None), confirmed=True), Fate.ADOPTED),
    ],
)
def test_fate(found: Found, expected: Fate) -> None:
    assert fate(found) is expected


@pytest.mark.parametrize("outcome", AttemptOutcome)
def test_an_attempt_that_ended_is_settled_whatever_its_agent_says(outcome: AttemptOutcome) -> None:
    fates = {fate(Found(1, status(outcome), confirmed)) for confirmed in (True, False)}
    assert len(fates) == 1
    assert Fate.OPEN not in fates


A, L, V, OPEN = Fate.ADOPTED, Fate.LOST, Fate.VOID, Fate.OPEN


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Round((), silent=0, fenced=0), Takeover(0, 0, 0)),
        (Round((A, A, L, V), silent=0, fenced=3), Takeover(2, 1, 3)),
        (Round((A, OPEN), silent=0, fenced=0), None),
        # An agent that has not answered yet may have what is to be fenced.
        (Round((A,), silent=1, fenced=0), None),
    ],
)
def test_report(seen: Round, expected: Takeover | None) -> None:
    assert report(seen) == expected


@given(st.lists(st.sampled_from(Fate)), st.integers(0, 3), st.integers(0, 9))
def test_every_task_that_is_wanted_is_in_the_report(fates: list[Fate], silent: int, fenced: int) -> None:
    takeover = report(Round(tuple(fates), silent, fenced))
    assert (takeover is None) == (silent > 0 or OPEN in fates)
    if takeover is not None:
        assert takeover.adopted + takeover.lost == len(fates) - fates.count(V)


@pytest.mark.parametrize(("lost", "kind"), [(0, EventType.NORMAL), (1, EventType.WARNING)])
def test_the_event_warns_of_losses(lost: int, kind: EventType) -> None:
    said = note(Takeover(adopted=200, lost=lost, fenced=7))
    assert (said.type, said.reason) == (kind, "TookOver")
    assert said.message == f"Tasks found running: 200 adopted, {lost} lost; attempts fenced: 7"
