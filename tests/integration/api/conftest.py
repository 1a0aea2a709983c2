"""The API under test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.api import KEY, Api, running
from tests.support.keys import record, write


@pytest.fixture(scope="module")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("keys"), record(KEY))


@pytest.fixture(scope="module")
def api(kubeconfig: Path, namespace: str, key_folder: Path) -> Iterator[Api]:
    """An API of the suite's namespace."""
    with running(kubeconfig, namespace, key_folder) as api:
        yield api
