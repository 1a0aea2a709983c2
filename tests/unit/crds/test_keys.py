"""API keys: what a key is, what is kept of it, and what is no record of one."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support import keys as known

from harebell_crds.keys import (
    LARGEST_RECORD_BYTES,
    SECRET_LENGTH,
    KeyRecordError,
    KeyState,
    Scope,
    hash_of,
    id_of,
    new_key,
    parse_record,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = known.key("ci", "s")


def test_a_new_key_is_random_and_only_its_hash_is_kept() -> None:
    made = [new_key("ci", [Scope.READ], NOW) for _ in range(50)]
    assert len({key for key, _ in made}) == len({record.id for _, record in made}) == 50
    for key, record in made:
        assert re.fullmatch(r"hb_[a-z0-9]{12}_[A-Za-z0-9]{43}", key)
        assert key.rpartition("_")[2] not in record.to_entry()
        assert record.is_of(key)
        assert not record.is_of(key[:-1])
        assert id_of(key) == record.id


def test_times_are_whole_seconds_like_those_that_are_read_back() -> None:
    _, record = new_key("ci", [Scope.READ], NOW.replace(microsecond=7), expires_at=NOW.replace(microsecond=9))
    assert (record.created_at, record.expires_at) == (NOW, NOW)


def test_the_secret_part_has_256_bits() -> None:
    assert 62**SECRET_LENGTH > 2**256


def test_a_record_survives_its_entry() -> None:
    _, record = new_key(
        "ci",
        [Scope.READ, Scope.DISPATCH],
        NOW,
        namespaces=["b", "a"],
        agent_types=["text"],
        expires_at=NOW + timedelta(days=30),
    )
    entry = record.to_entry()
    assert parse_record(record.id, entry.encode()) == record
    assert json.loads(entry) == {
        "id": record.id,
        "name": "ci",
        "hash": record.hash,
        "scopes": ["dispatch", "read"],
        "namespaces": ["a", "b"],
        "agentTypes": ["text"],
        "createdAt": "2026-05-01T12:00:00Z",
        "expiresAt": "2026-05-31T12:00:00Z",
        "revoked": False,
    }


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": "other"}, "id"),
        ({"id": "A_b"}, "id"),
        ({"name": "system:admin"}, "name"),
        ({"hash": KEY}, "hash"),
        ({"hash": hash_of(KEY).upper()}, "hash"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["write"]}, "scopes"),
        ({"namespaces": []}, "namespaces"),
        ({"agentTypes": []}, "agentTypes"),
        ({"agentTypes": ["Text"]}, "agentTypes"),
        ({"agentType": ["text"]}, "agentType"),
        ({"createdAt": "yesterday"}, "createdAt"),
        ({"expiresAt": "2026-01-01T00:00:00"}, "expiresAt"),
        ({"revoked": None}, "revoked"),
    ],
)
def test_what_is_no_record_is_refused_by_its_field(changed: dict[str, Any], field: str) -> None:
    name, entry = known.record(KEY)
    assert parse_record(name, entry).id == "ci"
    with pytest.raises(KeyRecordError, match=field) as refused:
        parse_record(name, json.dumps({**json.loads(entry), **changed}).encode())
    assert "ssss" not in str(refused.value)


@pytest.mark.parametrize(
    "value", [b"", b"ci:plain-text-key", b"\xff", b"[]", b"x" * (LARGEST_RECORD_BYTES + 1)]
)
def test_other_entries_are_refused_without_being_shown(value: bytes) -> None:
    with pytest.raises(KeyRecordError) as refused:
        parse_record("ci", value)
    assert "plain-text-key" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "scopes", "limits", "field"),
    [
        ("a b", [Scope.READ], {}, "name"),
        ("ci", [], {}, "scopes"),
        ("ci", [Scope.READ], {"agent_types": ["A"]}, "agentTypes"),
        ("ci", [Scope.READ], {"namespaces": ["a.b"]}, "namespaces"),
    ],
)
def test_no_key_is_made_that_nobody_could_read(
    name: str, scopes: list[Scope], limits: dict[str, Any], field: str
) -> None:
    with pytest.raises(KeyRecordError, match=field):
        new_key(name, scopes, NOW, **limits)


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({}, KeyState.ACTIVE),
        ({"expires_at": NOW + timedelta(seconds=1)}, KeyState.ACTIVE),
        ({"expires_at": NOW}, KeyState.EXPIRED),
        ({"revoked": True}, KeyState.REVOKED),
        ({"revoked": True, "expires_at": NOW}, KeyState.REVOKED),
    ],
)
def test_states(members: dict[str, Any], state: KeyState) -> None:
    assert parse_record(*known.record(KEY, **members)).state(NOW) is state


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hb_",
        "hb__" + "x" * 43,
        "hb_ci_" + "x" * 42,
        "hb_ci_" + "x" * 129,
        "xx_ci_" + "x" * 43,
        "hb_ci_\u00e4" + "x" * 43,
    ],
)
def test_what_is_no_key(text: str) -> None:
    assert id_of(text) is None
