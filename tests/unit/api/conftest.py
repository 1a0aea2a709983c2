from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient
from tests.support.keys import record

from harebell_api import auth, permissions
from harebell_api.app import Dependencies, create_app
from harebell_api.keyring import KeyRing
from harebell_api.permissions import Access, Scope

from .fakes import AUTH, KEY, NAMESPACE, FakePast, FakeStore

Become = Callable[..., None]


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def keys() -> KeyRing:
    """A ring with :data:`.fakes.KEY` on it, which may do everything."""
    ring = KeyRing(NAMESPACE)
    ring.replace(dict([record(KEY)]))
    return ring


@pytest.fixture
def past() -> FakePast:
    return FakePast()


@pytest.fixture
def parts(store: FakeStore, keys: KeyRing, past: FakePast) -> Dependencies:
    return Dependencies(NAMESPACE, store, keys, past=past)


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
