"""The operator under test, as a process of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes import Processes, processes


@pytest.fixture
def start(tmp_path: Path, amqp_url: str, namespace: str, kubeconfig: Path) -> Iterator[Processes]:
    """Starts operators and agents, which end with the test."""
    with processes(tmp_path, amqp_url, namespace, kubeconfig) as starter:
        yield starter
