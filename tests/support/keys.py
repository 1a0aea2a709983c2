"""API keys for tests, whose text is known beforehand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harebell_crds.keys import SECRET_LENGTH, KeyRecord, Scope, hash_of, id_of


def key(key_id: str, letter: str = "0") -> str:
    """Return a key with this id."""
    return f"hb_{key_id}_{letter * SECRET_LENGTH}"


def record(key: str, *scopes: Scope, **members: Any) -> tuple[str, bytes]:
    """Return the entry for a key: its name and its value. Without scopes it may do everything."""
    key_id = id_of(key)
    assert key_id is not None
    given = {"name": key_id, "created_at": datetime(2026, 1, 1, tzinfo=UTC), **members}
    made = KeyRecord(id=key_id, hash=hash_of(key), scopes=frozenset(scopes or [Scope.ADMIN]), **given)
    return key_id, made.to_entry().encode()


def write(folder: Path, *entries: tuple[str, bytes]) -> Path:
    """Put entries into a folder, each as a file, and return the folder."""
    folder.mkdir(exist_ok=True)
    for name, value in entries:
        (folder / name).write_bytes(value)
    return folder
