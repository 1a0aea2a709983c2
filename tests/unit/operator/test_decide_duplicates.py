"""Of the Tasks with one idempotencyKey, one is done."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harebell_crds.conditions import find_condition
from harebell_crds.task import CancelMode, ReplayOf, TaskPhase, TaskSpec, TaskStatus
from harebell_operator.decide.duplicates import Claim, original_of
from harebell_operator.decide.observation import TaskObservation
from harebell_operator.decide.task import decide
from harebell_operator.store import Store, TaskEntry

from .tables import T0
from .tables import observed as any_observed

FIRST = ReplayOf(name="first", uid="uid-1")


def claim(uid: str, seconds: int = 0, *, begun: bool = False, duplicate: bool = False) -> Claim:
    return Claim(uid, f"task-{uid}", T0 + timedelta(seconds=seconds), begun, duplicate)


@pytest.mark.parametrize(
    ("own", "others", "original"),
    [
        (claim("b"), [], None),
        (claim("b"), [claim("b")], None),
        (claim("b", 5), [claim("a", 3)], "a"),
        (claim("b", 3), [claim("a", 5)], None),
        (claim("b", 3), [claim("a", 3)], "a"),
        (claim("a", 3), [claim("b", 3)], None),
        (claim("b", 3), [claim("a", 5, begun=True)], "a"),
        (claim("b", 5, begun=True), [claim("a", 3)], None),
        (claim("b", 5, begun=True), [claim("a", 3, begun=True)], None),
        (claim("b", 5), [claim("a", 3, duplicate=True)], None),
        (claim("c", 5), [claim("a", 3), claim("b", 4, begun=True)], "b"),
        (claim("c", 5), [claim("b", 4), claim("a", 3)], "a"),
    ],
)
def test_who_is_done(own: Claim, others: list[Claim], original: str | None) -> None:
    found = original_of(own, others)
    assert (found.uid if found else None) == original
    if found:
        assert found.name == f"task-{original}"


claims = st.lists(
    st.builds(claim, st.sampled_from("abcdef"), st.integers(0, 3)),
    min_size=1,
    unique_by=lambda c: c.uid,
)


@given(claims)
def test_exactly_one_begins_in_whatever_order_they_are_looked_at(waiting: list[Claim]) -> None:
    """The order of the list is that in which they are looked at."""
    for index in range(len(waiting)):
        own = waiting[index]
        duplicate = original_of(own, waiting) is not None
        waiting[index] = replace(own, duplicate=duplicate, begun=not duplicate)
    assert sum(c.begun for c in waiting) == 1


def observed(status: TaskStatus, original: ReplayOf | None = FIRST, **spec: Any) -> TaskObservation:
    seen = {"uid": "uid-2", "original": original, "queued_as": None}
    return any_observed(status, **seen, idempotency_key="k", **spec)


@pytest.mark.parametrize("spec", [{}, {"suspend": True}, {"cancel": CancelMode.GRACEFUL}])
def test_a_duplicate_ends_without_having_started(spec: dict[str, Any]) -> None:
    decision = decide(observed(TaskStatus(), **spec), T0)
    status = decision.status
    assert not decision.publish
    assert (status.phase, status.reason, status.attempt) == (TaskPhase.CANCELLED, "Duplicate", 0)
    assert status.duplicate_of == FIRST
    failed = find_condition(status.conditions, "Failed")
    assert failed is not None
    assert failed.message == "Task first has the same idempotencyKey"
    assert [e.reason for e in decision.events] == ["Duplicate"]


@pytest.mark.parametrize(
    "status",
    [
        TaskStatus(phase=TaskPhase.QUEUED, attempt=1),
        TaskStatus(phase=TaskPhase.PENDING, attempt=1, failures=1),
        TaskStatus(phase=TaskPhase.SUCCEEDED, attempt=1, completed_at=T0),
    ],
)
def test_what_has_begun_goes_on(status: TaskStatus) -> None:
    decision = decide(observed(status), T0)
    assert decision.status.duplicate_of is None
    assert decision.status.reason != "Duplicate"


def test_a_duplicate_stays_ended_when_the_original_is_deleted() -> None:
    ended = decide(observed(TaskStatus()), T0).status
    assert decide(observed(ended, None), T0).status == ended


def entries(*keys: str | None) -> Sequence[TaskEntry]:
    return [
        TaskEntry(
            "ns",
            f"t{n}",
            f"uid-{n}",
            1,
            T0,
            TaskSpec(agent_type="t", action="a", idempotency_key=key),
            TaskStatus(),
            TaskStatus(),
        )
        for n, key in enumerate(keys)
    ]


def test_the_store_knows_who_claims_a_key() -> None:
    store = Store()
    for entry in entries("k", "k", "other", None):
        store.add_task(entry)
    assert {c.uid for c in store.claims("k")} == {"uid-0", "uid-1"}
    assert store.claims(None) == []
    store.drop_task("uid-0")
    assert [c.uid for c in store.claims("k")] == ["uid-1"]
    store.drop_task("uid-1")
    assert store.claims("k") == []


@pytest.mark.parametrize(
    ("status", "starting", "begun", "duplicate"),
    [
        (TaskStatus(), False, False, False),
        (TaskStatus(), True, True, False),
        (TaskStatus(phase=TaskPhase.QUEUED, attempt=1), False, True, False),
        (TaskStatus(phase=TaskPhase.CANCELLED), False, True, False),
        (TaskStatus(phase=TaskPhase.CANCELLED, duplicate_of=FIRST), False, False, True),
    ],
)
def test_what_a_claim_rests_on(status: TaskStatus, starting: bool, begun: bool, duplicate: bool) -> None:
    entry = entries("k")[0]
    entry.status, entry.starting = status, starting
    assert (entry.claim.begun, entry.claim.duplicate) == (begun, duplicate)
