"""Heartbeats of processes of the same agent, one after the other."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from harebell_bus.envelopes import AgentRef, Heartbeat, HeartbeatReason
from harebell_operator.agents import STRAGGLERS, AgentReconciler
from harebell_operator.store import Store
from harebell_operator.workqueue import WorkQueue

T0 = datetime(2026, 1, 1, tzinfo=UTC)
OFFLINE_AFTER = timedelta(seconds=180)


class Hearing:
    """A reconciler that hears heartbeats, with nothing behind it."""

    def __init__(self) -> None:
        self.now = T0
        self.store = Store()
        self.welcomed = 0
        around: Any = SimpleNamespace(
            review=lambda: None,
            changed=lambda _: None,
            heard=lambda *_: None,
            tell=lambda _: None,
            spawn=self._spawn,
            observe=lambda entry: SimpleNamespace(
                gone=entry.gone, last_seen=entry.last_seen, hearing_since=T0, offline_after=OFFLINE_AFTER
            ),
        )
        self.agents = AgentReconciler(
            self.store, WorkQueue(), WorkQueue(), WorkQueue(), around, around, around, around, around, around,
            lambda: self.now, 60, None, "operator-1",
        )  # fmt: skip

    def _spawn(self, welcome: Any) -> None:
        welcome.close()
        self.welcomed += 1

    def hear(
        self,
        instance: str,
        started: float,
        reason: HeartbeatReason = HeartbeatReason.REGISTERED,
        kind: str = "text",
    ) -> None:
        beat = Heartbeat(
            reason=reason,
            agent=AgentRef(id="anna", instance=instance),
            agent_type=kind,
            software_version="1",
            started_at=T0 + timedelta(seconds=started),
            at=self.now,
        )
        self.agents.heard(beat)

    @property
    def instance(self) -> str | None:
        return self.store.agents["anna"].instance


@pytest.mark.parametrize(
    ("after", "left", "heard"),
    [
        (timedelta(seconds=1), False, False),
        (STRAGGLERS - timedelta(seconds=1), False, False),
        (STRAGGLERS, False, True),
        (timedelta(seconds=1), True, True),
    ],
)
def test_a_process_begun_by_a_clock_that_was_set_back(after: timedelta, left: bool, heard: bool) -> None:
    """Its heartbeats look like the last words of an earlier process, which come soon or not at all."""
    hearing = Hearing()
    hearing.hear("first", 3600)
    if left:
        hearing.hear("first", 3600, HeartbeatReason.LEAVING)
    hearing.now += after
    hearing.hear("second", 0)
    assert hearing.instance == ("second" if heard else "first")
    assert hearing.welcomed == (2 if heard else 1)


@pytest.mark.parametrize(
    ("after", "left", "heard"),
    [
        (STRAGGLERS, False, False),
        (OFFLINE_AFTER - timedelta(seconds=1), False, False),
        (OFFLINE_AFTER, False, True),
        (timedelta(seconds=1), True, True),
    ],
)
def test_an_agent_of_another_type_has_the_id_only_when_the_first_is_gone(
    after: timedelta, left: bool, heard: bool
) -> None:
    """As two agents of one machine have whose ids are its name: each would look like the other, restarted."""
    hearing = Hearing()
    hearing.hear("first", 0)
    if left:
        hearing.hear("first", 0, HeartbeatReason.LEAVING)
    hearing.now += after
    hearing.hear("second", 1, kind="infra")
    agent = hearing.store.agents["anna"]
    assert (agent.instance, agent.agent_type) == (("second", "infra") if heard else ("first", "text"))
    assert hearing.welcomed == (2 if heard else 1)


def body(kind: str, phase: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "anna", "uid": kind, "generation": 1},
        "spec": {"type": kind},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(("phase", "heard"), [("Online", False), ("Offline", True)])
def test_of_one_known_from_its_resource_alone_the_same_holds(phase: str, heard: bool) -> None:
    hearing = Hearing()
    hearing.agents.observed(body("text", phase))
    hearing.hear("second", 1, kind="infra")
    assert hearing.store.agents["anna"].agent_type == ("infra" if heard else "text")
    # What a list shows of the first one is not the second one's.
    hearing.agents.observed(body("text", phase))
    assert hearing.store.agents["anna"].exists is not heard
