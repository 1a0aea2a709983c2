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
        )
        self.agents = AgentReconciler(
            self.store, WorkQueue(), WorkQueue(), WorkQueue(), around, around, around, around, around, around,
            lambda: self.now, 60, None, "operator-1",
        )  # fmt: skip

    def _spawn(self, welcome: Any) -> None:
        welcome.close()
        self.welcomed += 1

    def hear(
        self, instance: str, started: float, reason: HeartbeatReason = HeartbeatReason.REGISTERED
    ) -> None:
        beat = Heartbeat(
            reason=reason,
            agent=AgentRef(id="anna", instance=instance),
            agent_type="text",
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
