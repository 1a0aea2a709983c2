"""Envelopes to bytes and back, and what is not one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harebell_bus.codec import decode_command, decode_heartbeat, decode_reply, decode_work, encode
from harebell_bus.envelopes import AgentRef, Progressed, Succeeded, TaskRef, Welcome, Work
from harebell_bus.errors import UnreadableMessageError
from harebell_bus.history import history_topology
from harebell_bus.lanes import LANES
from harebell_bus.topology import base_topology, lane_topology

TASK = TaskRef(namespace="n", name="t", uid="u")
AGENT = AgentRef(id="a", instance="i")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_a_result_survives_the_wire(result: object) -> None:
    reply = Succeeded(task=TASK, attempt=1, agent=AGENT, at=NOW, result=result)
    assert decode_reply(encode(reply)) == reply


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_payload_survives_the_wire(payload: dict[str, object]) -> None:
    work = Work(
        task=TASK, attempt=2, agent_type="t", action="x", payload=payload, priority="low", published_at=NOW
    )
    assert decode_work(encode(work)) == work


@pytest.mark.parametrize("decode", [decode_work, decode_reply, decode_command, decode_heartbeat])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"kind":"Work"}',
        b'{"kind":"Succeeded","version":2}',
        b"[" * 10_000,
    ],
)
def test_anything_else_is_unreadable(decode: object, body: bytes) -> None:
    assert callable(decode)
    with pytest.raises(UnreadableMessageError):
        decode(body)


def test_the_reason_names_the_field_and_not_its_content() -> None:
    body = encode(Progressed(task=TASK, attempt=1, agent=AGENT, at=NOW)).replace(
        b'"attempt":1', b'"attempt":"secret"'
    )
    with pytest.raises(UnreadableMessageError, match="attempt") as refused:
        decode_reply(body)
    assert "secret" not in str(refused.value)


def test_a_field_of_a_later_version_is_ignored() -> None:
    body = encode(Welcome(instance="i", work_queues=("q",), heartbeat_seconds=60))
    assert decode_command(body.replace(b"{", b'{"later":1,', 1))


def test_bindings_name_what_is_declared() -> None:
    base = base_topology()
    history = history_topology(heartbeats=True)
    exchanges = {e.name for e in (*base.exchanges, *history.exchanges)}
    for topology in (base, *(lane_topology("t", lane) for lane in LANES), history):
        queues = {q.name for q in topology.queues}
        for binding in topology.bindings:
            assert binding.exchange in exchanges
            assert binding.queue in queues


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2026-01-01T00:00:00"]
)
def test_a_time_that_cannot_be_is_unreadable(at: str) -> None:
    text = encode(Succeeded(task=TASK, attempt=1, agent=AGENT, at=NOW)).decode()
    with pytest.raises(UnreadableMessageError, match=r"at: "):
        decode_reply(text.replace("2026-01-01T00:00:00Z", at).encode())


def test_a_time_is_held_as_utc() -> None:
    text = encode(Succeeded(task=TASK, attempt=1, agent=AGENT, at=NOW)).decode()
    read = decode_reply(text.replace("00:00:00Z", "01:00:00+01:00").encode())
    assert (read.at, read.at.tzinfo) == (NOW, UTC)
