"""The API under test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.api import KEY, Api, running


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"integration:{KEY}\n")
    return file


@pytest.fixture(scope="module")
def api(kubeconfig: Path, namespace: str, key_file: Path) -> Iterator[Api]:
    """An API of the suite's namespace."""
    with running(kubeconfig, namespace, key_file) as api:
        yield api
