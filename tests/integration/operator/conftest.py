"""The operator under test, as a process of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes import Process, Processes, processes
from tests.support.servers import Vhost


@pytest.fixture
def start(tmp_path: Path, vhost: Vhost, namespace: str, kubeconfig: Path) -> Iterator[Processes]:
    """Starts operators and agents, which end with the test."""
    with processes(tmp_path, vhost.operator_url, vhost.agent_url, namespace, kubeconfig) as starter:
        yield starter


def diarist(start: Processes, kind: str, diary: Path, **environment: str) -> Process:
    """Start an agent of a type that writes down what it does."""
    module = f"{__name__.rpartition('.')[0]}.diary:agent"
    return start.agent(f"{kind}-1", kind, HAREBELL_AGENT_MODULE=module, DIARY=str(diary), **environment)
