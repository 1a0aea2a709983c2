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


def test_of_agents_that_have_no_task_any_more_nothing_is_kept() -> None:
    """Pods come and go under ever new names, and finished Tasks stay for a week."""
    store = Store()
    running = TaskStatus(phase=TaskPhase.RUNNING, attempt=1, agent_name="a")
    done = running.model_copy(update={"phase": TaskPhase.SUCCEEDED})
    for name in ("ends", "moves", "goes", "stays"):
        store.add_task(task(name, "text", running))
    store.add_task(task("past", "text", done.model_copy(update={"agent_name": "gone"})))
    assert {t.name for t in store.tasks_of("a")} == {"ends", "moves", "goes", "stays"}

    store.assign("ends", running, done)
    store.assign("moves", running, running.model_copy(update={"agent_name": "b"}))
    store.drop_task("goes")
    assert [t.name for t in store.tasks_of("a")] == ["stays"]
    assert [t.name for t in store.tasks_of("b")] == ["moves"]
    store.drop_task("stays")
    assert store._tasks_by_agent == {"b": {"moves"}}
