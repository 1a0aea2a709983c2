"""API keys: what a key looks like, and what is kept of it.

A key is ``hb_<id>_<secret>``. A Secret has an entry for each, named by the id; its value is a
:class:`KeyRecord` as JSON. That holds a hash, so who reads the Secret has no key. The secret part has 256
random bits, which nobody can try, so a plain SHA-256 will do; slow hashes are for what people choose.
"""

import hashlib
import hmac
import json
import re
import secrets
import string
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from .model import Time
from .task import AGENT_TYPE_PATTERN

ID_PATTERN = r"^[a-z0-9]{1,32}$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
"""No colon: a client that Kubernetes knows has one in its name, ``system:serviceaccount:...``."""
_NAMESPACE_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_HASH_PATTERN = r"^sha256:[0-9a-f]{64}$"

_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH = 12
SECRET_LENGTH = 43
"""Letters and digits that hold 256 bits: 62 ** 43 > 2 ** 256."""
_KEY = re.compile(rf"hb_(?P<id>[a-z0-9]{{1,32}})_[A-Za-z0-9]{{{SECRET_LENGTH},128}}")

LARGEST_RECORD_BYTES = 16 * 1024


class Scope(StrEnum):
    """What a client may do. None includes another but ``admin``, which includes all."""

    READ = "read"
    """See Tasks, agents, queues and announcements."""
    DISPATCH = "dispatch"
    """Make Tasks, and do unsuccessful ones again."""
    CANCEL = "cancel"
    """Cancel Tasks, suspend and resume them, and change their priority."""
    ADMIN = "admin"
    """Everything: also pause and drain agents, and make announcements."""


class KeyState(StrEnum):
    """Whether a key lets anybody in."""

    ACTIVE = "Active"
    EXPIRED = "Expired"
    REVOKED = "Revoked"


class KeyRecordError(ValueError):
    """An entry is not the record of a key. The message names the fields, and never holds what is in them."""


class KeyRecord(BaseModel):
    """What is kept of a key. An unknown member is an error: it may be a limit in a wrong spelling."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    id: Annotated[str, Field(pattern=ID_PATTERN, description="Part of the key, and name of the entry.")]
    name: Annotated[
        str,
        Field(pattern=NAME_PATTERN, description="Whose key it is; several keys of one name may overlap."),
    ]
    hash: Annotated[str, Field(pattern=_HASH_PATTERN, description="sha256: and the hash of the key, in hex.")]
    scopes: Annotated[frozenset[Scope], Field(min_length=1, description="What its holder may do.")]
    namespaces: Annotated[
        frozenset[Annotated[str, Field(max_length=63, pattern=_NAMESPACE_PATTERN)]] | None,
        Field(min_length=1, max_length=100, description="Where it is good; null: wherever it is stored."),
    ] = None
    agent_types: Annotated[
        frozenset[Annotated[str, Field(max_length=63, pattern=AGENT_TYPE_PATTERN)]] | None,
        Field(min_length=1, max_length=100, description="Types of agents it has to do with; null: all."),
    ] = None
    created_at: Annotated[Time, Field(description="When it was made.")]
    expires_at: Annotated[Time | None, Field(description="From when on it is not good any more.")] = None
    revoked: Annotated[bool, Field(description="Whether it was called back.")] = False

    def state(self, now: datetime) -> KeyState:
        """Return whether the key lets anybody in."""
        if self.revoked:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE

    def is_of(self, key: str) -> bool:
        """Whether this is the record of the key; takes the same time whatever differs."""
        return hmac.compare_digest(self.hash, hash_of(key))

    def to_wire(self) -> dict[str, Any]:
        """Return the record as JSON has it: camelCase, sets in order, members without a value left out."""
        wire: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {name: sorted(value) if isinstance(value, list) else value for name, value in wire.items()}

    def to_entry(self) -> str:
        """Return the value of the Secret's entry."""
        return json.dumps(self.to_wire(), separators=(",", ":"))


def new_key(
    name: str,
    scopes: Iterable[Scope],
    now: datetime,
    *,
    namespaces: Iterable[str] | None = None,
    agent_types: Iterable[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[str, KeyRecord]:
    """Make a key, and return it with what is to be kept of it.

    :raises KeyRecordError: a value cannot be used.
    """
    key_id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(_ID_LENGTH))
    key = f"hb_{key_id}_{''.join(secrets.choice(_ALPHABET) for _ in range(SECRET_LENGTH))}"
    try:
        record = KeyRecord.model_validate(
            {  # by the names that errors are to show
                "id": key_id,
                "name": name,
                "hash": hash_of(key),
                "scopes": frozenset(scopes),
                "namespaces": None if namespaces is None else frozenset(namespaces),
                "agentTypes": None if agent_types is None else frozenset(agent_types),
                "createdAt": now.replace(microsecond=0),
                "expiresAt": None if expires_at is None else expires_at.replace(microsecond=0),
            }
        )
    except ValidationError as error:
        raise KeyRecordError(_summary(error)) from None
    return key, record


def parse_record(entry: str, value: bytes) -> KeyRecord:
    """Return the record that an entry of a Secret holds. :raises KeyRecordError: it is none."""
    if len(value) > LARGEST_RECORD_BYTES:
        raise KeyRecordError(f"it has {len(value)} bytes; a record has at most {LARGEST_RECORD_BYTES}")
    try:
        record = KeyRecord.model_validate_json(value)
    except ValidationError as error:
        raise KeyRecordError(_summary(error)) from None  # its text would hold a part of the entry
    if record.id != entry:
        raise KeyRecordError("id: it has to be the name of the entry")
    return record


def hash_of(key: str) -> str:
    """Return what is kept of a key."""
    return f"sha256:{hashlib.sha256(key.encode(errors='replace')).hexdigest()}"


def id_of(key: str) -> str | None:
    """Return the id in a key, or None: the text is no key."""
    found = _KEY.fullmatch(key)
    return found["id"] if found else None


def _summary(error: ValidationError) -> str:
    return "; ".join(
        ": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"])))
        for e in error.errors(include_input=False, include_url=False, include_context=False)
    )[:500]
