"""What is known of the agent that has a Task."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from harebell_bus.envelopes import AgentRef, Heartbeat, HeartbeatReason
from harebell_crds.agent import AgentStatus, CurrentTask
from harebell_crds.task import TaskPhase, TaskSpec, TaskStatus
from harebell_operator.decide.observation import Sighting, Supply
from harebell_operator.decide.standing import Holding, Order, OrderKind
from harebell_operator.standings import Standings
from harebell_operator.store import AgentEntry, Store, TaskEntry
from harebell_operator.workforce import FORGOT_GRACE, Workforce
from harebell_operator.workqueue import WorkQueue

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("gone", "instance", "after", "sighting"),
    [
        ("Left", "a1", timedelta(0), Sighting.UNKNOWN),
        ("Left", "a1", FORGOT_GRACE, Sighting.GONE),
        ("PodGone", "a1", timedelta(0), Sighting.GONE),
        (None, "a2", timedelta(0), Sighting.GONE),
        (None, "a1", timedelta(0), Sighting.WORKING),
    ],
)
def test_what_is_known_of_the_agent_that_has_a_task(
    gone: str | None, instance: str, after: timedelta, sighting: Sighting
) -> None:
    store = Store()
    broker: Any = SimpleNamespace(hearing_since=T0)
    agent = AgentEntry("anna", "text", True, 1, AgentStatus(), T0, T0, {}, gone=gone)
    agent.heartbeat = Heartbeat(
        reason=HeartbeatReason.LEAVING if gone == "Left" else HeartbeatReason.INTERVAL,
        agent=AgentRef(id="anna", instance=instance),
        agent_type="text",
        software_version="1",
        started_at=T0,
        at=T0,
    )
    store.agents["anna"] = agent
    standings = Standings(store, WorkQueue(), broker, lambda: T0)
    workforce = Workforce(store, broker, standings, lambda: T0, timedelta(seconds=180))
    status = TaskStatus(phase=TaskPhase.RUNNING, attempt=1, agent_name="anna", agent_instance="a1")
    task = TaskEntry("ns", "t", "uid", 1, T0, TaskSpec(agent_type="text", action="echo"), status, status)
    assert workforce.sighting(task, T0 + after) == sighting


class Fleet:
    """Agents of two types, and what is known of them together."""

    def __init__(self) -> None:
        self.store = Store()
        broker: Any = SimpleNamespace(hearing_since=T0)
        self.standings = Standings(self.store, WorkQueue(), broker, lambda: T0)
        self.workforce = Workforce(self.store, broker, self.standings, lambda: T0, timedelta(seconds=180))

    def hear(self, name: str, kind: str = "text", **said: Any) -> AgentEntry:
        agent = self.store.agents.setdefault(name, AgentEntry(name, kind, True, 1, AgentStatus(), T0, T0, {}))
        agent.heartbeat = Heartbeat(
            reason=HeartbeatReason.INTERVAL,
            agent=AgentRef(id=name, instance="i"),
            agent_type=kind,
            software_version="1",
            started_at=T0,
            at=T0,
            **said,
        )
        self.workforce.changed(agent)
        return agent


def test_the_agents_of_a_type_are_counted() -> None:
    fleet = Fleet()
    assert fleet.workforce.supply("text") == Supply(0, 0)
    fleet.hear("idle")
    fleet.hear("other", kind="infra")
    fleet.hear("busy").tasks = {"t": CurrentTask(namespace="ns", name="t", uid="t", attempt=1)}
    fleet.hear("paused", paused=True)
    deaf = fleet.hear("deaf")
    deaf.deaf_since = T0 - timedelta(seconds=60)
    gone = fleet.hear("gone")
    gone.gone = "Left"
    drained = fleet.hear("drained")
    drained.order = Order("o", "drained", OrderKind.DRAIN, T0)
    reason = "spec.drain of Agent drained"
    assert fleet.workforce.supply("text") == Supply(5, 1, 2, (reason,), 1)
    assert fleet.workforce.supply("infra") == Supply(1, 1)

    fleet.hear("busy").tasks = {}
    deaf.deaf_since, drained.order, gone.gone = None, None, None
    for agent in (deaf, drained, gone):
        fleet.workforce.changed(agent)
    assert fleet.workforce.supply("text") == Supply(6, 5, 1)

    # Its name may be that of one of another type, or of none, before it is counted.
    for name in ("idle", "gone"):
        fleet.workforce.changed(fleet.store.agents.pop(name))
    fleet.hear("idle", kind="infra")
    assert fleet.workforce.supply("text") == Supply(4, 3, 1)
    assert fleet.workforce.supply("infra") == Supply(2, 2)


def test_a_thousand_agents_are_not_looked_at_for_each_change_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet()
    for number in range(100):
        fleet.hear(f"a{number}")
    assert fleet.workforce.supply("text") == Supply(100, 100)
    looks: list[str] = []
    of = fleet.standings.of

    def look(agent: AgentEntry) -> Holding:
        looks.append(agent.name)
        return of(agent)

    monkeypatch.setattr(fleet.standings, "of", look)
    fleet.hear("a7", paused=True)
    assert fleet.workforce.supply("text") == Supply(100, 99, 1)
    assert set(looks) == {"a7"}
