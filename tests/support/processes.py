"""Operator and agents as processes of this machine, with short intervals, against real servers."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HEARTBEAT_SECONDS = 1
OFFLINE_SECONDS = 4


@dataclass
class Process:
    """A running component and where its log goes."""

    popen: "subprocess.Popen[bytes]"
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

    def _start(self, module: str, name: str, **environment: str) -> Process:
        log = self.folder / f"{name}-{len(self.started)}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [sys.executable, "-m", module],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HAREBELL_PORT": "0", **environment},
            )
        process = Process(popen, log)
        self.started.append(process)
        return process


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
