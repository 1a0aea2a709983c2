"""The ``Idempotency-Key`` header: the same key gives the same Task, however it was made.

The key is the Task's ``spec.idempotencyKey``, and the operator does one Task of a key only. It decides the
Task's name too: of requests that come at once, Kubernetes takes one, whichever replicas are asked.
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from harebell_crds.task import TaskSpec

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
    """Return what stands for the key in names, for the key itself may hold anything."""
    return hashlib.sha256(f"{namespace}\0{key}".encode()).hexdigest()[:_HASH_LENGTH]


def same_request(asked: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether a Task's spec is what is asked for now. Having been cancelled, suspended or resumed since makes
    no difference.

    Nor does the key, which is how the Task was found.
    """
    return _normal(asked) == _normal(stored)


def _normal(spec: Mapping[str, Any]) -> TaskSpec:
    """Return the spec with the defaults the API server fills in, without what other requests change, and
    without the key."""
    return TaskSpec.model_validate({**spec, "cancel": None, "suspend": False, "idempotencyKey": None})
