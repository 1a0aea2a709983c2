"""Tables over when the Agent of an agent that is offline is deleted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harebell_crds.agent import AgentStatus
from harebell_crds.conditions import ConditionStatus, set_condition
from harebell_operator.decide.expiry import REVIEW, Remains, delete_at

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TTL = timedelta(days=1)
WINDOW = timedelta(seconds=180)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def status(ready: ConditionStatus, since: datetime = T0) -> AgentStatus:
    conditions = set_condition((), "Ready", ready, "HeartbeatMissed", "", now=since, generation=1)
    return AgentStatus(conditions=conditions)


REMAINS = Remains(
    status=status(ConditionStatus.FALSE),
    made_here=True,
    owned=False,
    paused=False,
    has_tasks=False,
    hearing_since=T0 - WINDOW,
    offline_after=WINDOW,
)


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({}, T0 + TTL),
        ({"status": AgentStatus()}, None),
        ({"status": status(ConditionStatus.TRUE)}, None),
        ({"made_here": False}, None),
        ({"owned": True}, None),
        ({"paused": True}, None),
        ({"hearing_since": None}, None),
        # After the broker was away, or the operator, everybody has a whole window again.
        ({"hearing_since": T0 + 2 * TTL}, T0 + 2 * TTL + WINDOW),
    ],
)
def test_what_is_deleted_and_when(changes: dict[str, Any], due: datetime | None) -> None:
    assert delete_at(replace(REMAINS, **changes), TTL, at(1)) == due


def test_without_a_time_to_live_nothing_is_deleted() -> None:
    assert delete_at(REMAINS, None, T0 + 100 * TTL) is None


@given(st.integers(0, 10**6))
def test_one_with_tasks_is_never_deleted_now(seconds: int) -> None:
    due = delete_at(replace(REMAINS, has_tasks=True), TTL, at(seconds))
    assert due is not None
    assert due >= at(seconds) + REVIEW


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_nobody_goes_before_its_time(ttl: int, later: int) -> None:
    due = delete_at(REMAINS, timedelta(seconds=ttl), at(later))
    assert due is not None
    assert due >= T0 + timedelta(seconds=ttl)
