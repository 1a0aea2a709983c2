"""Cursors: what a client has been told, as text that only this API reads.

A cursor is told with every message; whoever comes back with it, to any replica, is told what it lacks. It is
base64url of a JSON array that begins with the number of its format, and is of no use to another stream: it
holds digests of what was asked for.

Versions are resource versions, which of one type of resource can be compared as integers (KEP-5504,
Kubernetes 1.35).
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from harebell_api.queries import CursorError

from .selection import WEIGHTS

FORMAT = 1
MAX_LENGTH = 512
_START, _POINT, _TASK = "s", "p", "t"
_MAX_INTEGER = 1 << 63


@dataclass(frozen=True)
class Start:
    """Nothing that counts was told: a snapshot had begun and was not complete."""

    scope: str
    """See :func:`digest`."""


@dataclass(frozen=True)
class Point:
    """Everything up to a version was told."""

    scope: str
    access: str
    """Which types the client could see; see :func:`digest`."""
    seen: int
    """The newest change known to the replica that told it. One that has it is not behind."""
    version: int
    at: int
    """When it was told, in seconds since 1970."""
    total: int | None
    """Stands for the Tasks the client knows, see :func:`.selection.weight`; None: it is not known which."""


@dataclass(frozen=True)
class OneTask:
    """A state of one Task was told."""

    scope: str
    uid: str
    version: int
    over: bool = False
    """Whether its deletion was told."""


Cursor = Start | Point | OneTask


def digest(*parts: Iterable[str] | str | None) -> str:
    """Return a short text that is the same for the same parts, collections in any order."""
    canonical = [sorted(p) if p is not None and not isinstance(p, str) else p for p in parts]
    return blake2b(json.dumps(canonical).encode(), digest_size=6).hexdigest()


def encode(cursor: Cursor) -> str:
    """Return the cursor as text for a URL or a header."""
    match cursor:
        case Start(scope):
            parts: list[object] = [FORMAT, _START, scope]
        case Point(scope, access, seen, version, at, total):
            parts = [FORMAT, _POINT, scope, access, seen, version, at, total]
        case OneTask(scope, uid, version, over):
            parts = [FORMAT, _TASK, scope, uid, version, over]
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(text: str) -> Cursor:
    """Return what a cursor says. :raises CursorError: this API gave out no such cursor."""
    if len(text) > MAX_LENGTH:
        raise CursorError("not a cursor: too long")
    try:
        parts = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise CursorError("not a cursor") from error
    if not isinstance(parts, list) or not parts or not _counts(parts[0]):
        raise CursorError("not a cursor")
    if parts[0] != FORMAT:
        raise CursorError(f"a cursor of format {parts[0]}, and this API knows format {FORMAT}: begin anew")
    match parts:
        case [_, "s", str(scope)]:
            return Start(scope)
        case [_, "p", str(scope), str(access), seen, version, at, total] if _counts(seen, version, at) and (
            total is None or _counts(total, limit=WEIGHTS)
        ):
            return Point(scope, access, seen, version, at, total)
        case [_, "t", str(scope), str(uid), version, bool(over)] if _counts(version):
            return OneTask(scope, uid, version, over)
        case _:
            raise CursorError("not a cursor")


def _counts(*numbers: object, limit: int = _MAX_INTEGER) -> bool:
    return all(type(number) is int and 0 <= number < limit for number in numbers)
