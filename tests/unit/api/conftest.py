from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies, create_app
from harebell_api.auth import KeyRing

from .fakes import AUTH, KEY, NAMESPACE, FakeStore


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(f"tester:{KEY}\n")
    return file


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def parts(store: FakeStore, key_file: Path) -> Dependencies:
    return Dependencies(NAMESPACE, store, KeyRing(key_file))


@pytest.fixture
def client(parts: Dependencies) -> Iterator[TestClient]:
    """A client that has a key."""
    with TestClient(create_app(parts), headers=AUTH, raise_server_exceptions=False) as client:
        yield client
