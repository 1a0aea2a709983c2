"""Figures of what the store holds."""

from datetime import UTC, datetime, timedelta

from harebell_crds.task import TaskPhase, TaskSpec, TaskStatus
from harebell_operator.store import Store, TaskEntry

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def task(name: str, agent_type: str, status: TaskStatus) -> TaskEntry:
    spec = TaskSpec(agent_type=agent_type, action="echo")
    return TaskEntry("ns", name, name, 1, T0, spec, status, status)


def test_who_has_waited_longest_is_told_for_each_type_where_somebody_waits() -> None:
    store = Store()
    for name, agent_type, phase, seconds in (
        ("second", "text", TaskPhase.QUEUED, 20),
        ("first", "text", TaskPhase.QUEUED, 10),
        ("taken", "text", TaskPhase.RUNNING, 0),
        ("other", "infra", TaskPhase.QUEUED, 30),
        ("done", "idle", TaskPhase.SUCCEEDED, 0),
    ):
        status = TaskStatus(phase=phase, queued_at=T0 + timedelta(seconds=seconds))
        store.tasks[name] = task(name, agent_type, status)
    assert store.longest_waiting() == {
        "text": T0 + timedelta(seconds=10),
        "infra": T0 + timedelta(seconds=30),
    }
