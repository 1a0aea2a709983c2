"""Tables over whether an agent listens for work."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harebell_bus.envelopes import AgentRef, CurrentTask, Heartbeat, HeartbeatReason, TaskRef
from harebell_crds.agent import AgentStatus
from harebell_crds.conditions import ConditionStatus, find_condition
from harebell_operator.decide.agent import AgentObservation, decide
from harebell_operator.decide.consuming import HOLD_OFF_SHARE, deaf_since, is_deaf

T0 = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = timedelta(seconds=180)
HOLD_OFF = WINDOW / HOLD_OFF_SHARE
TASK = CurrentTask(task=TaskRef(namespace="ns", name="t", uid="u"), attempt=1)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def beat(**more: Any) -> Heartbeat:
    given: dict[str, Any] = {
        "agent": AgentRef(id="anna", instance="a1"),
        "capacity": 2,
        "consuming": False,
        "reason": HeartbeatReason.INTERVAL,
    }
    return Heartbeat(
        agent_type="text",
        software_version="1",
        started_at=T0,
        at=T0,
        **{**given, **more},
    )


@pytest.mark.parametrize(
    ("said", "doubtful"),
    [
        ({}, True),
        ({"current_tasks": (TASK,)}, True),
        ({"current_tasks": (TASK, TASK)}, False),
        ({"consuming": True}, False),
        ({"consuming": None}, False),
        ({"paused": True}, False),
    ],
)
def test_it_should_listen_unless_it_is_paused_or_has_no_room(said: dict[str, Any], doubtful: bool) -> None:
    assert deaf_since(beat(**said), at(5), None, None) == (at(5) if doubtful else None)
    assert deaf_since(beat(**said), at(5), beat(), at(1)) == (at(1) if doubtful else None)


@pytest.mark.parametrize(
    ("previous", "now", "anew"),
    [
        ({}, {}, False),
        ({}, {"reason": HeartbeatReason.REGISTERED}, True),
        ({"reason": HeartbeatReason.REGISTERED}, {"reason": HeartbeatReason.REGISTERED}, False),
        ({"reason": HeartbeatReason.REGISTERED}, {}, False),
        ({"agent": AgentRef(id="anna", instance="a0")}, {}, True),
    ],
)
def test_a_new_connection_and_a_new_process_begin_anew(
    previous: dict[str, Any], now: dict[str, Any], anew: bool
) -> None:
    since = deaf_since(beat(**now), at(100), beat(**previous), at(1))
    assert since == (at(100) if anew else at(1))


def test_one_heartbeat_proves_nothing_however_long_ago() -> None:
    assert not is_deaf(None, at(1000), WINDOW)
    assert not is_deaf(at(0), at(0), WINDOW)
    assert not is_deaf(at(0), at(0) + HOLD_OFF - timedelta(seconds=1), WINDOW)
    assert is_deaf(at(0), at(0) + HOLD_OFF, WINDOW)


class Life:
    """An agent's status over its heartbeats."""

    def __init__(self) -> None:
        self.status = AgentStatus()
        self.since: datetime | None = None
        self.last: Heartbeat | None = None
        self.events: list[str] = []

    def restart(self) -> None:
        """Another operator takes over: it has the status alone."""
        self.since = self.last = None

    def heard(self, seconds: float, gone: str | None = None, **said: Any) -> tuple[ConditionStatus, str]:
        heartbeat, now = beat(**said), at(seconds)
        self.since = deaf_since(heartbeat, now, self.last, self.since)
        self.last = heartbeat
        observed = AgentObservation(
            generation=1,
            status=self.status,
            heartbeat=heartbeat,
            last_seen=now,
            tasks=(),
            tasks_changed_at=T0,
            gone=gone,
            offline_after=WINDOW,
            hearing_since=T0,
            deaf_since=self.since,
        )
        decision = decide(observed, now)
        if decision.write:
            self.status = decision.status
            self.events += [e.reason for e in decision.events]
        found = find_condition(self.status.conditions, "Consuming")
        assert found
        return found.status, found.reason


def test_an_agent_that_stops_listening_is_named_once_and_recovers() -> None:
    life = Life()
    assert life.heard(0, consuming=True) == (ConditionStatus.TRUE, "Listening")
    assert life.heard(60) == (ConditionStatus.TRUE, "Listening")
    assert life.events == []
    assert life.heard(120) == (ConditionStatus.FALSE, "NotListening")
    assert life.heard(180) == (ConditionStatus.FALSE, "NotListening")
    assert life.events == ["StoppedConsuming"]
    assert life.heard(240, consuming=True) == (ConditionStatus.TRUE, "Listening")
    life.heard(300)
    assert life.heard(360) == (ConditionStatus.FALSE, "NotListening")
    assert life.events == ["StoppedConsuming"] * 2


def test_a_restart_of_the_operator_does_not_name_it_again() -> None:
    life = Life()
    life.heard(0, consuming=True)
    life.heard(60)
    life.heard(120)
    life.restart()
    assert life.heard(180) == (ConditionStatus.FALSE, "NotListening")
    assert life.heard(240) == (ConditionStatus.FALSE, "NotListening")
    assert life.events == ["StoppedConsuming"]


def test_a_new_process_is_not_judged_by_the_one_before() -> None:
    life = Life()
    life.heard(0, consuming=True)
    life.heard(60)
    assert life.heard(120) == (ConditionStatus.FALSE, "NotListening")
    another = AgentRef(id="anna", instance="a2")
    assert life.heard(180, agent=another) == (ConditionStatus.UNKNOWN, "NotYetListening")
    assert life.heard(200, agent=another, consuming=True) == (ConditionStatus.TRUE, "Listening")


def test_one_that_comes_back_is_not_shown_as_away_until_it_says_that_it_listens() -> None:
    life = Life()
    life.heard(0, consuming=True)
    assert life.heard(10, gone="HeartbeatMissed", consuming=True) == (
        ConditionStatus.UNKNOWN,
        "HeartbeatMissed",
    )
    assert life.heard(60) == (ConditionStatus.UNKNOWN, "NotYetListening")
    assert life.heard(120, consuming=True) == (ConditionStatus.TRUE, "Listening")


def test_heartbeats_between_two_tasks_are_no_alarm() -> None:
    life = Life()
    life.heard(0, consuming=True)
    for minute in range(1, 9, 2):
        assert life.heard(60 * minute) == (ConditionStatus.TRUE, "Listening")
        assert life.heard(60 * minute + 60, current_tasks=(TASK, TASK)) == (
            ConditionStatus.TRUE,
            "Listening",
        )
    assert life.events == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"paused": True}, "Paused"),
        ({"consuming": None}, "NotReported"),
        ({"gone": "PodGone"}, "PodGone"),
    ],
)
def test_where_nothing_is_seen_it_is_unknown(said: dict[str, Any], reason: str) -> None:
    life = Life()
    life.heard(0, consuming=True)
    assert life.heard(60, **said) == (ConditionStatus.UNKNOWN, reason)
    assert life.events == []


def test_an_agent_that_never_says_has_no_such_condition() -> None:
    observed = AgentObservation(
        generation=1,
        status=AgentStatus(),
        heartbeat=beat(consuming=None),
        last_seen=T0,
        tasks=(),
        tasks_changed_at=T0,
        gone=None,
        offline_after=WINDOW,
        hearing_since=T0,
    )
    assert find_condition(decide(observed, T0).status.conditions, "Consuming") is None


def test_the_last_delivery_outlives_the_process_that_had_it() -> None:
    life = Life()
    life.heard(0, consuming=True, last_delivery_at=at(-5))
    assert life.status.last_delivery_time == at(-5)
    life.heard(60, consuming=True)
    assert life.status.last_delivery_time == at(-5)
