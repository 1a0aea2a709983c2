from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from harebell_api import auth, permissions
from harebell_api.app import Dependencies, create_app
from harebell_api.auth import KeyRing
from harebell_api.permissions import Access, Scope

from .fakes import AUTH, KEY, NAMESPACE, FakePast, FakeStore

Become = Callable[..., None]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(f"tester:{KEY}\n")
    return file


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def past() -> FakePast:
    return FakePast()


@pytest.fixture
def parts(store: FakeStore, past: FakePast, key_file: Path) -> Dependencies:
    return Dependencies(NAMESPACE, store, KeyRing(key_file), past=past)


@pytest.fixture
def client(parts: Dependencies) -> Iterator[TestClient]:
    """A client that has a key."""
    with TestClient(create_app(parts), headers=AUTH, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Become:
    """Gives the client other scopes, or only some agent types."""

    def change(*scopes: Scope, types: frozenset[str] | None = None) -> None:
        access = Access("tester", frozenset(scopes), types)
        monkeypatch.setattr(auth, "grant", lambda connection, _: permissions.grant(connection, access))

    return change
