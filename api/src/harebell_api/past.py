"""What happened to Tasks: their messages in order, and the Tasks that were deleted, out of the archive.

Read from the view ``harebell.task_messages``, which leaves out payloads, inputs, checkpoints and idempotency
keys. A message whose text the database could not keep as JSON is there without its content.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from pydantic_core import to_json

from .archive import PostgreSQL
from .history import RECORDS, WORK, Message, of_record
from .selector import Selector
from .shallow import read_json

_FAILURE = "the archive cannot be read now, or not in the time there is; ask for less between from and to"
_ANY_LABELS = Selector()

_COLUMNS = "epoch, stream_offset, time, sent_at, exchange, kind, attempt, agent_id, reason, body"
_MESSAGES = f"""
SELECT {_COLUMNS} FROM harebell.task_messages
WHERE task_namespace = $1 AND task_uid = $2
    AND time >= coalesce($3::timestamptz, '-infinity')
    AND ($3::timestamptz IS NULL OR (time, epoch, stream_offset) > ($3::timestamptz, $4::int, $5::bigint))
ORDER BY time, epoch, stream_offset LIMIT $6
"""  # noqa: S608 - no part of it comes from outside
# The operator's messages alone: what agents call work is none, and the type decides who may read them all.
_AGENT_TYPE = f"""
SELECT agent_type FROM harebell.task_messages
WHERE task_namespace = $1 AND task_uid = $2 AND agent_type IS NOT NULL
    AND (kind, exchange) IN (('Work', '{WORK}'), ('Removed', '{RECORDS}'))
LIMIT 1
"""  # noqa: S608
_UID_BY_NAME = """
SELECT task_uid FROM harebell.task_messages
WHERE kind = 'Removed' AND task_namespace = $1 AND task_name = $2
ORDER BY time DESC LIMIT 1
"""
_REMOVED = """
SELECT epoch, stream_offset, time, task_uid, task_namespace, task_name, exchange, kind, body
FROM harebell.task_messages
WHERE kind = 'Removed' AND task_namespace = $1 AND body IS NOT NULL
    AND time >= coalesce($2::timestamptz, '-infinity') AND time < coalesce($3::timestamptz, 'infinity')
    AND ($4::text[] IS NULL OR agent_type = ANY ($4::text[]))
    AND ($5::text[] IS NULL OR coalesce(body -> 'status' ->> 'phase', 'Pending') = ANY ($5::text[]))
    AND NOT EXISTS (
        SELECT FROM jsonb_to_recordset($6::jsonb) AS r (key text, allowed jsonb, negated boolean)
        WHERE r.negated = (
            body -> 'labels' ? r.key AND (r.allowed IS NULL OR r.allowed ? (body -> 'labels' ->> r.key))
        )
    )
    AND time <= coalesce($7::timestamptz, 'infinity')
    AND ($7::timestamptz IS NULL OR (time, epoch, stream_offset) < ($7::timestamptz, $8::int, $9::bigint))
ORDER BY time DESC, epoch DESC, stream_offset DESC LIMIT $10
"""


class Spot(NamedTuple):
    """Where a message stands among all: a total order that never changes."""

    time: datetime
    epoch: int
    offset: int


@dataclass(frozen=True)
class PastFilter:
    """Which Tasks that were deleted are to be listed. None: any."""

    agent_types: frozenset[str] | None = None
    phases: frozenset[str] | None = None
    labels: Selector = _ANY_LABELS
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Documents as JSON, and where to go on from; None: nothing follows."""

    items: list[bytes]
    follows: Spot | None


class Past(Protocol):
    """What the archive tells. Every method raises ProblemError: the archive cannot be read."""

    async def uid_of(self, namespace: str, name: str) -> str | None:
        """Return the UID of the Task of this name that was deleted last, or None."""
        ...

    async def agent_type_of(self, namespace: str, uid: str) -> str | None:
        """Return for agents of which type a Task was, or None: no message tells."""
        ...

    async def messages(self, namespace: str, uid: str, limit: int, after: Spot | None) -> Page:
        """Return messages of a Task, the oldest first."""
        ...

    async def removed(self, namespace: str, wanted: PastFilter, limit: int, after: Spot | None) -> Page:
        """Return Tasks that were deleted, the one deleted last first."""
        ...


class ArchivedPast:
    """A :class:`Past`, from PostgreSQL."""

    def __init__(self, archive: PostgreSQL) -> None:
        self._archive = archive

    async def uid_of(self, namespace: str, name: str) -> str | None:
        """See :class:`Past`."""
        rows = await self._archive.rows(_FAILURE, _UID_BY_NAME, namespace, name)
        return rows[0]["task_uid"] if rows else None

    async def agent_type_of(self, namespace: str, uid: str) -> str | None:
        """See :class:`Past`."""
        rows = await self._archive.rows(_FAILURE, _AGENT_TYPE, namespace, uid)
        return rows[0]["agent_type"] if rows else None

    async def messages(self, namespace: str, uid: str, limit: int, after: Spot | None) -> Page:
        """See :class:`Past`."""
        spot = after or (None, None, None)
        rows = await self._archive.rows(_FAILURE, _MESSAGES, namespace, uid, *spot, limit + 1)
        return _page(rows, limit, [message_document(row) for row in rows[:limit]])

    async def removed(self, namespace: str, wanted: PastFilter, limit: int, after: Spot | None) -> Page:
        """See :class:`Past`."""
        rows = await self._archive.rows(
            _FAILURE,
            _REMOVED,
            namespace,
            wanted.since,
            wanted.until,
            _listed(wanted.agent_types),
            _listed(wanted.phases),
            requirements(wanted.labels),
            *(after or (None, None, None)),
            limit + 1,
        )
        return _page(rows, limit, [_removed_document(row) for row in rows[:limit]])


def message_document(row: Any) -> bytes:
    """Return a message as :class:`.models.MessageDocument` describes it."""
    document = {
        "id": f"{row['epoch']}-{row['stream_offset']}",
        "time": _rfc3339(row["time"]),
        "sentAt": _sent_at(row["sent_at"]),
        "kind": row["kind"],
        "exchange": row["exchange"],
        "attempt": row["attempt"],
        "agentName": row["agent_id"],
        "reason": row["reason"],
    }
    content = row["body"].encode() if row["body"] is not None else b"null"
    return to_json(document)[:-1] + b',"content":' + content + b"}"


def _removed_document(row: Any) -> bytes:
    """Return a Task as :class:`.models.PastTaskDocument` describes it."""
    message = Message(
        row["task_uid"],
        row["task_namespace"],
        row["task_name"],
        row["time"],
        row["exchange"],
        row["kind"],
        read_json(row["body"].encode()),
    )
    return to_json({**of_record(message), "removedAt": _rfc3339(row["time"])})


def _page(rows: list[Any], limit: int, items: list[bytes]) -> Page:
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(items, Spot(last["time"], last["epoch"], last["stream_offset"]) if last is not None else None)


def requirements(labels: Selector) -> str:
    """Return a selector as JSON, as the query takes it."""
    found = [
        {"key": r.key, "allowed": sorted(r.values) if r.values is not None else None, "negated": r.negated}
        for r in labels.requirements
    ]
    return json.dumps(found)


def _listed(values: frozenset[str] | None) -> list[str] | None:
    return sorted(values) if values is not None else None


def _sent_at(said: datetime | None) -> str | None:
    """Return a time that a sender said. One without a zone is how asyncpg reads an infinity: it is none."""
    return _rfc3339(said) if said is not None and said.tzinfo is not None else None


def _rfc3339(moment: datetime) -> str:
    # Not by strftime, which writes the year 1 with one digit.
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
