"""``harebell keys``: what its commands do, given where the keys are and what time it is."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from harebell_crds.keys import KeyRecord, KeyRecordError, KeyState, Scope, new_key, parse_record

from . import text
from .errors import CommandError
from .secret import Conflict, KeyStore

INVALID = "Invalid"
"""The state of an entry that lets nobody in, because it is no record of a key."""
_TRIES = 5
_COLUMNS = ("ID", "NAME", "SCOPES", "AGENT-TYPES", "NAMESPACES", "CREATED", "EXPIRES", "STATE")


@dataclass(frozen=True)
class Wish:
    """The key that is to be made."""

    name: str
    scopes: tuple[Scope, ...]
    namespaces: tuple[str, ...] = ()
    """Empty: every one."""
    agent_types: tuple[str, ...] = ()
    expires: timedelta | None = None


def create(store: KeyStore, wish: Wish, now: datetime) -> tuple[str, KeyRecord]:
    """Make a key, and return it with its record. :raises CommandError: it cannot be made or kept."""
    try:
        key, record = new_key(
            wish.name,
            wish.scopes,
            now,
            namespaces=wish.namespaces or None,
            agent_types=wish.agent_types or None,
            expires_at=None if wish.expires is None else now + wish.expires,
        )
    except KeyRecordError as error:
        raise CommandError(f"no key can be made with this {error}") from error
    store.write({record.id: record.to_entry().encode()})
    return key, record


def revoke(store: KeyStore, named: str, *, every: bool) -> list[KeyRecord]:
    """Revoke the key with this id, or the one of this name, and return it. ``every``: all of the name.

    A key that is revoked already stays so. :raises CommandError: there is none, or it is not clear which.
    """
    for _ in range(_TRIES):
        stored = store.read()
        records, _broken = parsed(stored.entries)
        chosen = _chosen(records, named, every=every)
        gone = [record.model_copy(update={"revoked": True}) for record in chosen]
        try:
            store.write({record.id: record.to_entry().encode() for record in gone}, stored.version)
        except Conflict:
            continue
        return gone
    raise CommandError("the Secret was changed by others at the same time, again and again; try once more")


def _chosen(records: Iterable[KeyRecord], named: str, *, every: bool) -> list[KeyRecord]:
    known = list(records)
    by_id = [record for record in known if record.id == named]
    if by_id:
        return by_id
    by_name = [record for record in known if record.name == named]
    if not by_name:
        raise CommandError(f"there is no key with the id or the name {named}; harebell keys list shows them")
    open_ones = [record for record in by_name if not record.revoked]
    if len(open_ones) > 1 and not every:
        ids = ", ".join(sorted(record.id for record in open_ones))
        raise CommandError(f"{named} has {len(open_ones)} keys: name one by its id ({ids}), or add --all")
    return open_ones or by_name


def parsed(entries: Mapping[str, bytes]) -> tuple[list[KeyRecord], dict[str, str]]:
    """Return the keys by name and age, and of entries that are none what is wrong, by their names."""
    records, broken = [], {}
    for name, value in sorted(entries.items()):
        try:
            records.append(parse_record(name, value))
        except KeyRecordError as error:
            broken[name] = str(error)
    return sorted(records, key=lambda r: (r.name, r.created_at, r.id)), broken


def table(records: Iterable[KeyRecord], broken: Iterable[str], now: datetime) -> str:
    """Return the keys as a table for people."""
    rows = [_COLUMNS, *(_row(record, now) for record in records)]
    return text.table([*rows, *((name, *["-"] * (len(_COLUMNS) - 2), INVALID) for name in broken)])


def document(records: Iterable[KeyRecord], broken: Iterable[str], now: datetime) -> str:
    """Return the keys as JSON for programs, without their hashes."""
    shown = [
        {**{k: v for k, v in r.to_wire().items() if k != "hash"}, "state": r.state(now).value}
        for r in records
    ]
    return json.dumps([*shown, *({"id": name, "state": INVALID} for name in broken)], indent=2)


def _row(record: KeyRecord, now: datetime) -> tuple[str, ...]:
    wire = record.to_wire()
    state: KeyState = record.state(now)
    return (
        record.id,
        record.name,
        ",".join(wire["scopes"]),
        ",".join(wire.get("agentTypes", ["-"])),
        ",".join(wire.get("namespaces", ["-"])),
        wire["createdAt"],
        wire.get("expiresAt", "-"),
        state.value,
    )
