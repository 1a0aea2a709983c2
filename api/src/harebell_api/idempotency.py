"""The ``Idempotency-Key`` header: the same key gives the same Task.

The key decides the Task's name, so Kubernetes itself refuses a second Task, whichever replica is asked.
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from harebell_crds.task import TaskSpec

LABEL = "harebell.dev/idempotency-key"
"""Label of a Task made with a key: its hash, for the key itself may hold anything."""

_HASH_LENGTH = 32
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


class IdempotencyKeyError(ValueError):
    """The header's value cannot be used as a key."""


def parse_key(header: str) -> str:
    """Return the key of a header; the draft wants it in double quotes, most clients leave them out.

    :raises IdempotencyKeyError: it is empty, too long, or not printable ASCII.
    """
    key = header.strip()
    if len(key) >= 2 and key.startswith('"') and key.endswith('"'):
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise IdempotencyKeyError("an Idempotency-Key is 1 to 255 printable ASCII characters")
    return key


def hash_key(namespace: str, key: str) -> str:
    """Return what stands for the key in names and labels."""
    return hashlib.sha256(f"{namespace}\0{key}".encode()).hexdigest()[:_HASH_LENGTH]


def same_request(asked: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether a Task's spec is what is asked for now. Having been cancelled since makes no difference."""
    return _normal(asked) == _normal(stored)


def _normal(spec: Mapping[str, Any]) -> TaskSpec:
    """Return the spec with the defaults the API server fills in, and without cancel."""
    return TaskSpec.model_validate({**spec, "cancel": None})
