"""What a message becomes, whatever is in it."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harebell_archive.rows import LONGEST_KEY, NEWEST, OLDEST, Arrival, Row, as_it_came, digest, row
from harebell_bus.codec import encode
from harebell_bus.envelopes import AgentRef, CancelMode, CancelTask, Failed, TaskRef

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TASK = TaskRef(namespace="n", name="t", uid="u")


def death(**more: Any) -> dict[str, Any]:
    return {
        "queue": "harebell.history.intake",
        "exchange": "harebell.replies",
        "routing-keys": ["key"],
        "time": NOW - timedelta(minutes=1),
        **more,
    }


def arrival(body: bytes = b"{}", deaths: Any = None, **more: Any) -> Arrival:
    headers = {"x-death": [death()] if deaths is None else deaths, **more.pop("headers", {})}
    return Arrival(7, NOW, "harebell.history", "last", body, headers, **more)


def test_the_route_is_the_brokers_own_word() -> None:
    letter = {"queue": "harebell.work.text", "exchange": "harebell.work", "routing-keys": [""], "time": NOW}
    found = row(arrival(deaths=[death(), letter]), 3)
    assert (found.epoch, found.stream_offset) == (3, 7)
    assert (found.exchange, found.routing_key) == ("harebell.replies", "key")
    assert found.time == NOW - timedelta(minutes=1)


@pytest.mark.parametrize(
    "deaths",
    ["", [], [{}], [[]], ["harebell.history.intake"], [death(queue="other")]],
)
def test_without_it_what_the_stream_says_serves(deaths: Any) -> None:
    found = row(arrival(deaths=deaths), 1)
    assert (found.exchange, found.routing_key, found.time) == ("harebell.history", "last", NOW)


@pytest.mark.parametrize(
    ("off", "kept"),
    [(NEWEST, True), (-OLDEST, True), (NEWEST * 2, False), (-OLDEST * 2, False), (timedelta(), True)],
)
def test_a_clock_that_is_far_off_fills_no_partition_of_its_own(off: timedelta, kept: bool) -> None:
    assert row(arrival(deaths=[death(time=NOW + off)]), 1).time == (NOW + off if kept else NOW)


def test_a_reply() -> None:
    reply = Failed(
        task=TASK, attempt=2, agent=AgentRef(id="a", instance="i"), at=NOW, code="Broken", message="m"
    )
    found = row(arrival(encode(reply), message_id="m", type="Failed"), 1)
    assert (found.kind, found.attempt, found.agent_id, found.reason) == ("Failed", 2, "a", "Broken")
    assert (found.task_namespace, found.task_name, found.correlation_id) == ("n", "t", "u")
    assert (found.sent_at, found.message_id) == (NOW, "m")


def test_a_command_is_of_the_agent_it_is_for() -> None:
    stop = CancelTask(task=TASK, attempt=1, mode=CancelMode.GRACEFUL, reason="deleted")
    route = death(exchange="harebell.commands", **{"routing-keys": ["text.pod-1.of.some"]})
    found = row(arrival(encode(stop), deaths=[route]), 1)
    assert (found.agent_type, found.agent_id, found.reason) == ("text", "pod-1.of.some", "deleted")


@pytest.mark.parametrize(
    ("body", "is_json"),
    [
        (b'{"a": 1}', True),
        (b"null", True),
        (b"[1, 2]", True),
        (b'"\\u00e4"', True),
        (b"", False),
        (b"\xff", False),
        (b"{", False),
        (b'{"a": NaN}', False),
        (b'{"a": -Infinity}', False),
        (b'"\\u0000"', False),
        (b'"\\ud800"', False),
        (b"[" * 100_000, False),
    ],
)
def test_a_body_is_json_or_kept_as_it_came(body: bytes, is_json: bool) -> None:
    found = row(arrival(body), 1)
    assert (found.body, found.raw) == ((body.decode(), None) if is_json else (None, body))


@pytest.mark.parametrize(
    "said",
    [
        {"kind": 1, "attempt": "1", "task": "t", "agent": [], "at": 5},
        {"attempt": True, "task": {"name": ["x"], "namespace": {}, "uid": 5}, "agent": {"id": None}},
        {"attempt": 2**40, "at": "yesterday"},
        {"attempt": -1, "at": "2026-01-01T00:00:00"},
    ],
)
def test_what_is_not_of_its_type_is_left_to_the_body(said: dict[str, Any]) -> None:
    found = row(arrival(json.dumps(said).encode()), 1)
    assert (found.kind, found.attempt, found.agent_id, found.task_name, found.sent_at) == (None,) * 5
    assert json.loads(found.body or "") == said


@pytest.mark.parametrize(
    "at",
    [
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        # The driver takes them for the infinities.
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "2026-01-01\ud800",
    ],
)
@pytest.mark.parametrize("name", ["at", "publishedAt"])
def test_a_time_that_postgresql_cannot_hold_is_left_to_the_body(at: str, name: str) -> None:
    body = json.dumps({name: at}).encode()
    assert row(arrival(body), 1).sent_at is None


def test_all_other_times_are_kept_in_utc() -> None:
    for at in ("0001-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999998Z", "2026-01-01T00:30:00+01:00"):
        found = row(arrival(json.dumps({"at": at}).encode()), 1).sent_at
        assert found is not None
        assert (found, found.utcoffset()) == (datetime.fromisoformat(at), timedelta())


def test_headers_of_the_broker_are_not_the_senders() -> None:
    found = row(arrival(headers={"agent-type": "text", "x-stream-offset": 7, "when": NOW, "raw": b"x"}), 1)
    assert json.loads(found.headers) == {"agent-type": "text", "when": str(NOW), "raw": "b'x'"}
    assert row(arrival(headers={"odd": "\0"}), 1).headers == "{}"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
ZONES = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
TIMES = st.datetimes(timezones=ZONES) | st.sampled_from((datetime.min, datetime.max)).flatmap(
    lambda edge: ZONES.map(lambda zone: edge.replace(tzinfo=zone))
)
NAMES = ("kind", "attempt", "task", "agent", "at", "publishedAt", "reason", "code", "agentType")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary()
    | st.dictionaries(st.sampled_from(NAMES), JSON | TIMES.map(datetime.isoformat)).map(
        lambda said: json.dumps(said).encode()
    )
)
def test_any_body_makes_a_row_that_can_be_stored(body: bytes) -> None:
    found = row(arrival(body), 1)
    assert (found.body is None) != (found.raw is None)
    for value in found:
        if isinstance(value, str):
            assert "\0" not in value
            value.encode()
    assert found.attempt is None or 0 < found.attempt < 2**31
    assert found.sent_at is None or found.sent_at.utcoffset() == timedelta()
    for key in (found.correlation_id, found.kind, found.task_name, found.agent_id):
        assert key is None or 0 < len(key.encode()) <= LONGEST_KEY


def test_as_it_came_leaves_nothing_to_be_understood() -> None:
    found = as_it_came(row(arrival(b"{}", headers={"a": 1}), 1), b"{}")
    assert (found.headers, found.body, found.raw) == ("{}", None, b"{}")
    assert len(Row._fields) == len(found)


def test_a_digest_is_of_the_message_and_not_of_when_it_was_read() -> None:
    first = arrival(b"1", message_id="m")
    later = Arrival(7, NOW + timedelta(days=1), "", "", b"1", first.headers, message_id="m")
    assert digest(first) == digest(later)
    others = [
        arrival(b"2", message_id="m"),
        arrival(b"1", message_id="n"),
        arrival(b"1", message_id="m", deaths=[death(time=NOW)]),
        Arrival(8, NOW, "", "", b"1", first.headers, message_id="m"),
    ]
    assert len({digest(each) for each in [first, *others]}) == 5
