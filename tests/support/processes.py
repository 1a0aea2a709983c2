"""Operator and agents as processes of this machine, with short intervals, against real servers."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .forked import Forked

HEARTBEAT_SECONDS = 1
OFFLINE_SECONDS = 4
UNHEARD = {"HAREBELL_OFFLINE_SECONDS": "86400"}
"""For an operator that is to miss nobody for silence; agents that are scripted have no heartbeat."""


@dataclass
class Process:
    """A running component and where its log goes."""

    popen: "subprocess.Popen[bytes] | Forked"
    log: Path

    def kill(self) -> None:
        """End it as a crash would."""
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> int:
        """End it as Kubernetes would, and return its exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(timeout=40)


@dataclass
class Processes:
    """Starts components; all of them end with the test."""

    folder: Path
    amqp_url: str
    agent_url: Callable[[str], str]
    """The URL for agents of a type."""
    namespace: str
    kubeconfig: Path
    started: list[Process] = field(default_factory=list)

    def operator(self, **environment: str) -> Process:
        """Start an operator."""
        usual = {
            "HAREBELL_AMQP_URL": self.amqp_url,
            "HAREBELL_NAMESPACE": self.namespace,
            "HAREBELL_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
            "HAREBELL_OFFLINE_SECONDS": str(OFFLINE_SECONDS),
            "KUBECONFIG": str(self.kubeconfig),
        }
        return self._start("harebell_operator", "operator", **{**usual, **environment})

    def agent(self, name: str, agent_type: str = "text", **environment: str) -> Process:
        """Start an agent."""
        usual = {
            "HAREBELL_AMQP_URL": self.agent_url(agent_type),
            "HAREBELL_AGENT_ID": name,
            "HAREBELL_AGENT_TYPE": agent_type,
            "HAREBELL_DRAIN_SECONDS": "1",
        }
        return self._start("harebell_agent", name, **{**usual, **environment})

    @contextmanager
    def supervised(self, name: str, agent_type: str, **environment: str) -> Iterator["Supervisor"]:
        """Keep an agent running under the same id, as a Pod's kubelet does, for the time of the block."""
        supervisor = Supervisor(lambda: self.agent(name, agent_type, **environment))
        try:
            yield supervisor
        finally:
            supervisor.end()

    def archiver(self, name: str, amqp_url: str, database_url: str, **environment: str) -> Process:
        """Start an archiver."""
        return self._start(
            "harebell_archive",
            name,
            HAREBELL_AMQP_URL=amqp_url,
            HAREBELL_DATABASE_URL=database_url,
            POD_NAME=name,
            **environment,
        )

    def _start(self, module: str, name: str, **environment: str) -> Process:
        log = self.folder / f"{name}-{len(self.started)}.log"
        log.touch()
        popen = Forked(module, {**os.environ, "HAREBELL_PORT": "0", **environment}, log)
        process = Process(popen, log)
        self.started.append(process)
        return process


class Supervisor:
    """Starts a process again whenever it ends."""

    def __init__(self, start: Callable[[], Process]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._ending = False
        self._process = start()
        self.deaths = 0
        """How often it has ended."""
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """End it as a crash would; it comes back."""
        with self._lock:
            self._process.popen.kill()

    def end(self) -> None:
        """End it for good."""
        with self._lock:
            self._ending = True
            self._process.kill()
        self._thread.join()

    def _supervise(self) -> None:
        while True:
            self._process.popen.wait()
            with self._lock:
                if self._ending:
                    return
                self.deaths += 1
                self._process = self._start()


@contextmanager
def processes(
    folder: Path, amqp_url: str, agent_url: Callable[[str], str], namespace: str, kubeconfig: Path
) -> Iterator[Processes]:
    """Yield a starter, and kill whatever it started when the block ends."""
    starter = Processes(folder, amqp_url, agent_url, namespace, kubeconfig)
    try:
        yield starter
    finally:
        for process in starter.started:
            process.kill()


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
