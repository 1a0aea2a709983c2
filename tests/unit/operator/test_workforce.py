"""What is known of the agent that has a Task."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from harebell_bus.envelopes import AgentRef, Heartbeat, HeartbeatReason
from harebell_crds.agent import AgentStatus
from harebell_crds.task import TaskPhase, TaskSpec, TaskStatus
from harebell_operator.decide.observation import Sighting
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
