"""The command as people call it, against an operator and an agent of the suite's own."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes, processes
from tests.support.servers import Vhost
from tests.support.waiting import until

from harebell_cli.main import main


@dataclass
class Call:
    """What a call has printed so far, and how it ended."""

    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)
    status: int | None = None

    def says(self, words: str) -> bool:
        return words in self.err.getvalue()


@dataclass(frozen=True)
class Done:
    """What a call printed, and how it ended."""

    status: int | None
    out: str
    err: str


@dataclass(frozen=True)
class Harebell:
    """Calls the command in a namespace; in this process, because loading it anew takes most of a second."""

    namespace: str
    kubeconfig: Path

    def __call__(self, command: str, *arguments: str) -> Done:
        call = Call()
        self._run(call, command, *arguments)
        return Done(call.status, call.out.getvalue(), call.err.getvalue())

    @contextmanager
    def beside(self, command: str, *arguments: str) -> Iterator[tuple[Call, "Future[None]"]]:
        """Call it beside the block, at whose end it must have ended; nothing else may print meanwhile."""
        call = Call()
        with ThreadPoolExecutor(1) as thread:
            yield call, thread.submit(self._run, call, command, *arguments)

    def start(self, command: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start it as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "harebell_cli", command, *self._place, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ,
            # Who is started in the background of a script ignores Ctrl-C, and so would this.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def _run(self, call: Call, command: str, *arguments: str) -> None:
        with redirect_stdout(call.out), redirect_stderr(call.err):
            call.status = main([command, *self._place, *arguments])

    @property
    def _place(self) -> list[str]:
        return ["-n", self.namespace, "--kubeconfig", str(self.kubeconfig)]


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, vhost: Vhost, namespace: str, kubeconfig: Path, kubectl: Kubectl
) -> Iterator[Processes]:
    """An operator and an agent of type ``crew``, which is called ``crew-1``."""
    folder = tmp_path_factory.mktemp("site")
    with processes(folder, vhost.operator_url, vhost.agent_url, namespace, kubeconfig) as start:
        start.operator()
        module = f"{__name__.rpartition('.')[0]}.crew:agent"
        start.agent("crew-1", "crew", HAREBELL_AGENT_MODULE=module)
        until("the agent to be there", lambda: kubectl.items("agents")[0]["status"]["phase"] == "Online", 90)
        yield start


@pytest.fixture(scope="module")
def harebell(site: Processes) -> Harebell:
    return Harebell(site.namespace, site.kubeconfig)
