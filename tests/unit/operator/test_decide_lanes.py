"""Where a Task's message goes, and when a lane has lost some."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from harebell_bus.lanes import Tier
from harebell_crds.task import Persistence, Priority, TaskPhase, TaskSpec, TaskStatus
from harebell_operator.decide.lanes import (
    SETTLES,
    Look,
    MessageNumber,
    lane_for,
    lost_messages,
    newest_message,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = MessageNumber(1, 0)


@pytest.mark.parametrize(
    ("priority", "tier"),
    [
        ("critical", Tier.DISK),
        ("high", Tier.DISK),
        ("normal", Tier.MEMORY),
        ("low", Tier.MEMORY),
        ("background", Tier.MEMORY),
    ],
)
def test_the_lane_follows_from_priority_and_persistence(priority: str, tier: Tier) -> None:
    spec = TaskSpec(agent_type="t", action="a", priority=Priority(priority))
    assert lane_for(spec).tier is tier
    for persistence in Persistence:
        lane = lane_for(spec.model_copy(update={"persistence": persistence}))
        assert lane.tier.value == persistence.value
        assert priority in lane.levels


@pytest.mark.parametrize(
    ("phase", "dispatch", "newest"),
    [
        (TaskPhase.QUEUED, 0, None),
        (TaskPhase.RUNNING, 0, None),
        (TaskPhase.QUEUED, 2, MessageNumber(3, 2)),
        (TaskPhase.RUNNING, 2, MessageNumber(4, 2)),
        (TaskPhase.PENDING, 2, MessageNumber(4, 2)),
        (TaskPhase.CANCELLED, 2, MessageNumber(4, 2)),
    ],
)
def test_which_message_counts(phase: TaskPhase, dispatch: int, newest: MessageNumber | None) -> None:
    assert newest_message(TaskStatus(phase=phase, attempt=3, dispatch=dispatch)) == newest


def look(ready: int | None, *uids: str, seconds: float = 0) -> Look:
    return Look(T0 + timedelta(seconds=seconds), ready, frozenset((uid, FIRST) for uid in uids))


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        (look(3, "a", "b", "c"), look(3, "a", "b", "c"), ""),
        (look(0, "a", "b", "c"), look(0, "a", "b", "c"), "abc"),
        (look(1, "a", "b", "c"), look(1, "a", "b", "c"), "abc"),
        (look(None, "a", "b"), look(None, "a", "b"), "ab"),
        (look(None, "a", "b"), look(2, "a", "b"), ""),
        # It came back between the looks, or was only being moved.
        (look(0, "a", "b"), look(2, "a", "b"), ""),
        (look(2, "a", "b"), look(0, "a", "b"), ""),
        # Two were claimed and their starts heard of: what is left is there.
        (look(3, "a", "b", "c"), look(1, "c"), ""),
        # Claimed at the first look already, and heard of by the second.
        (look(0, "a"), look(0), ""),
        (look(0, "a", "b"), look(1, "b", "c"), ""),
        (look(0, "a", "b"), look(0, "b", "c"), "b"),
        # More than are owed, as of cancelled Tasks, is no loss.
        (look(9, "a"), look(9, "a"), ""),
    ],
)
def test_fewer_messages_than_tasks_twice_is_a_loss(before: Look, after: Look, lost: str) -> None:
    later = replace(after, at=T0 + SETTLES)
    assert lost_messages(before, later) == frozenset(lost)
    too_soon = replace(after, at=T0 + SETTLES - timedelta(milliseconds=1))
    assert lost_messages(before, too_soon) == frozenset()


def test_a_message_that_was_replaced_is_another_one() -> None:
    after = Look(T0 + SETTLES, 0, frozenset({("a", MessageNumber(1, 1))}))
    assert lost_messages(look(0, "a"), after) == frozenset()
