"""From a message to a row of ``harebell.messages``.

Nothing in a message is trusted to have the type it should: what does not is left out of its column, and is
still in the body.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from harebell_bus.history import HISTORY_INTAKE
from harebell_bus.topology import (
    AGENT_TYPE_HEADER,
    ATTEMPT_HEADER,
    COMMANDS_EXCHANGE,
    REASON_HEADER,
    TASK_NAME_HEADER,
    TASK_NAMESPACE_HEADER,
)

LONGEST_KEY: Final = 255
"""Bytes of an AMQP short string; longer values from a body would not fit into an index."""
LONGEST_TEXT: Final = 1024
OLDEST: Final = timedelta(days=30)
NEWEST: Final = timedelta(days=1)
"""How far the broker's clock may be from ours. The stream keeps seven days."""

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
"""asyncpg writes these two as the infinities, which are no times."""

_UNSTORABLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes that JSON may hold and ``jsonb`` may not (PostgreSQL documentation, "JSON Types")."""


@dataclass(frozen=True)
class Arrival:
    """A message as the stream gave it."""

    offset: int
    received_at: datetime
    exchange: str
    routing_key: str
    body: bytes
    headers: Mapping[str, Any]
    message_id: str | None = None
    correlation_id: str | None = None
    type: str | None = None
    priority: int | None = None


class Row(NamedTuple):
    """A row, in the order of the table's columns. JSON is text."""

    epoch: int
    stream_offset: int
    time: datetime
    sent_at: datetime | None
    exchange: str
    routing_key: str
    message_id: str | None
    correlation_id: str | None
    kind: str | None
    task_namespace: str | None
    task_name: str | None
    attempt: int | None
    agent_type: str | None
    agent_id: str | None
    priority: int | None
    reason: str | None
    headers: str
    body: str | None
    raw: bytes | None


@dataclass(frozen=True)
class _Route:
    """How a message came into the history: the broker's own word for it."""

    exchange: str
    routing_key: str
    time: datetime


def row(arrival: Arrival, epoch: int) -> Row:
    """Return the row of a message."""
    route = _route(arrival)
    text, content = _json(arrival.body)
    said: Mapping[str, Any] = content if isinstance(content, dict) else {}
    task, agent, headers = _inner(said, "task"), _inner(said, "agent"), arrival.headers
    addressed = route.routing_key.partition(".") if route.exchange == COMMANDS_EXCHANGE else ("", "", "")
    return Row(
        epoch=epoch,
        stream_offset=arrival.offset,
        time=route.time,
        sent_at=_time(said.get("publishedAt")) or _time(said.get("at")),
        exchange=_text(route.exchange) or "",
        routing_key=_text(route.routing_key) or "",
        message_id=_text(arrival.message_id),
        correlation_id=_text(arrival.correlation_id) or _text(task.get("uid")),
        kind=_text(said.get("kind")) or _text(arrival.type),
        task_namespace=_text(task.get("namespace")) or _text(headers.get(TASK_NAMESPACE_HEADER)),
        task_name=_text(task.get("name")) or _text(headers.get(TASK_NAME_HEADER)),
        attempt=_integer(said.get("attempt")) or _integer(headers.get(ATTEMPT_HEADER)),
        agent_type=_text(headers.get(AGENT_TYPE_HEADER))
        or _text(said.get("agentType"))
        or _text(addressed[0]),
        agent_id=_text(agent.get("id")) or _text(addressed[2]),
        priority=arrival.priority,
        reason=_text(headers.get(REASON_HEADER), LONGEST_TEXT)
        or _text(said.get("reason"), LONGEST_TEXT)
        or _text(said.get("code"), LONGEST_TEXT),
        headers=_headers(headers),
        body=text,
        raw=arrival.body if text is None else None,
    )


def as_it_came(wanted: Row, body: bytes) -> Row:
    """Return the row with nothing in it that PostgreSQL could have to understand."""
    return wanted._replace(headers="{}", body=None, raw=body)


def digest(arrival: Arrival) -> bytes:
    """Return what tells a message from any other that ever had its offset in a stream of this name."""
    death = _death(arrival.headers)
    parts = (arrival.offset, arrival.message_id, death.get("time"))
    return hashlib.sha256(repr(parts).encode() + arrival.body).digest()


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the broker wrote when the message left the intake; it takes away what a client wrote."""
    deaths = headers.get("x-death")
    for death in deaths if isinstance(deaths, list) else ():
        if isinstance(death, dict) and death.get("queue") == HISTORY_INTAKE:
            return death
    return {}


def _route(arrival: Arrival) -> _Route:
    death = _death(arrival.headers)
    exchange, keys, time = death.get("exchange"), death.get("routing-keys"), death.get("time")
    if not isinstance(time, datetime) or not -OLDEST <= time - arrival.received_at <= NEWEST:
        time = arrival.received_at
    return _Route(
        exchange if isinstance(exchange, str) else arrival.exchange,
        keys[0] if isinstance(keys, list) and keys and isinstance(keys[0], str) else arrival.routing_key,
        time,
    )


def _json(body: bytes) -> tuple[str | None, Any]:
    """Return a body as text and as what it says; text None where it is no JSON that ``jsonb`` takes."""
    try:
        text = body.decode()
        content = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None, None
    return (None if _UNSTORABLE.search(text) else text), content


def _refuse(constant: str) -> None:
    """Refuse NaN and the infinities, which Python reads though JSON has none."""
    raise ValueError(constant)


def _inner(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = said.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object, longest: int = LONGEST_KEY) -> str | None:
    """Return a string as PostgreSQL can store it, or None for anything else and for nothing."""
    if not isinstance(value, str):
        return None
    storable = value.encode(errors="replace").replace(b"\0", b"?")[:longest]
    return storable.decode(errors="ignore") or None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None


def _time(value: object) -> datetime | None:
    """Return a time of the envelope, in UTC; one without a zone is none."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            return None
        # Here, for the first and the last hours of some zones lie outside the years that there are in UTC.
        time = time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if _FIRST < time < _LAST else None


def _headers(headers: Mapping[str, Any]) -> str:
    """Return the sender's headers as JSON; those the broker added begin with ``x-``."""
    sent = {k: v for k, v in headers.items() if not k.startswith("x-")}
    text = json.dumps(sent, default=str)
    return "{}" if _UNSTORABLE.search(text) else text
