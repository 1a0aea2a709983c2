"""The API as a process of this machine that talks to the real API server."""

import json
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2

from harebell_crds.keys import Scope

from .forked import Forked
from .keys import key, record

KEY = key("integration")
AUTH = {"Authorization": f"Bearer {KEY}"}
REVOKED, EXPIRED, ELSEWHERE, OTHERS = (key(name) for name in ("revoked", "expired", "elsewhere", "others"))
"""Keys that are not good: any more, any more, in the suite's namespace, for agents of type text."""
ONLY = {scope: key(f"only{scope.value}") for scope in Scope}
"""A key for each scope that has no other."""


def entries() -> list[tuple[str, bytes]]:
    """Return the entries of all of these keys."""
    return [
        record(KEY),
        record(REVOKED, revoked=True),
        record(EXPIRED, expires_at=datetime(2026, 1, 2, tzinfo=UTC)),
        record(ELSEWHERE, namespaces=["elsewhere"]),
        record(OTHERS, agent_types=["others"]),
        *(record(shown, scope) for scope, shown in ONLY.items()),
    ]


@dataclass
class Api:
    """A running API that has listed everything once."""

    process: Forked
    port: int
    http: httpx2.Client
    log: "queue.SimpleQueue[str]"
    """Lines that nobody has looked at yet; an empty one: it has ended."""

    @property
    def ws(self) -> str:
        """Where WebSockets open."""
        return f"ws://127.0.0.1:{self.port}/api/v1/ws"

    def stop(self) -> int:
        """End it as Kubernetes would, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)

    def wait_for_log(self, *wanted: str) -> str:
        """Read the log until a line holds all the words, and return that line's message."""
        while line := self.log.get(timeout=60):
            if all(word in line for word in wanted):
                return str(json.loads(line)["message"])
        raise AssertionError(f"the API ended without saying {wanted}")


@contextmanager
def running(kubeconfig: Path, namespace: str, key_folder: Path | None, **more: str) -> Iterator[Api]:
    """Start an API, which takes :data:`KEY` if the folder has it, and end it in any case."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HAREBELL_")},
        "KUBECONFIG": str(kubeconfig),
        "HAREBELL_NAMESPACE": namespace,
        **({"HAREBELL_API_KEY_DIR": str(key_folder)} if key_folder is not None else {}),
        "HAREBELL_HOST": "127.0.0.1",
        "HAREBELL_PORT": "0",
        "HAREBELL_LOG_LEVEL": "info",
        **more,
    }
    output, its_output = multiprocessing.Pipe(duplex=False)
    process = Forked("harebell_api", environment, its_output)
    its_output.close()
    api = Api(process, 0, httpx2.Client(headers=AUTH, timeout=30, trust_env=False), queue.SimpleQueue())
    # Read all the time: who writes into a full pipe waits.
    reader = threading.Thread(target=_read, args=(output, api.log), daemon=True)
    reader.start()
    try:
        api.port = int(api.wait_for_log("serving namespace").rpartition(":")[2])
        api.http.base_url = httpx2.URL(f"http://127.0.0.1:{api.port}")
        for _ in range(3):
            api.wait_for_log(": listed ")
        yield api
    finally:
        api.http.close()
        process.kill()
        process.wait()
        reader.join()


def _read(output: Connection, log: "queue.SimpleQueue[str]") -> None:
    with output, os.fdopen(os.dup(output.fileno())) as lines:
        for line in lines:
            log.put(line)
    log.put("")
