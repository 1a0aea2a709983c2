from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from tests.support.keys import record

from harebell_api.app import Dependencies, create_app
from harebell_api.keyring import KeyRing

from .fakes import AUTH, KEY, NAMESPACE, FakeStore


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
def parts(store: FakeStore, keys: KeyRing) -> Dependencies:
    return Dependencies(NAMESPACE, store, keys)


@pytest.fixture
def client(parts: Dependencies) -> Iterator[TestClient]:
    """A client that has a key."""
    with TestClient(create_app(parts), headers=AUTH, raise_server_exceptions=False) as client:
        yield client
