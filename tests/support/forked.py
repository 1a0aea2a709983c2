"""Components as processes that share what they import.

To import the libraries that a component is made of takes a processor half a second to a second, and the
suites start many hundred components. These are forked from a process that has imported the libraries; a
component's own modules are its own to import, and it runs as ``python -m`` would run it.
"""

import importlib
import multiprocessing
import os
import runpy
import signal
import sys
import threading
from multiprocessing.connection import Connection, wait
from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.support.preloaded"])


class Forked:
    """A running component; named as in :class:`subprocess.Popen`."""

    def __init__(self, module: str, environment: dict[str, str], output: Path | Connection) -> None:
        """Start ``module`` with this environment and no other; it writes to ``output``."""
        # As a daemon, so that one that a test forgot ends with the tests.
        self._process = _SERVER.Process(target=_run, args=(module, environment, output), daemon=True)
        self._process.start()
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit status; of one that a signal ended, the negative number of it; None: it runs."""
        with self._lock:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit status. :raises TimeoutError: it still runs."""
        if not wait([self._process.sentinel], timeout):
            raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self.send_signal(signal.SIGKILL)


def _run(module: str, environment: dict[str, str], output: Path | Connection) -> None:
    target = output.fileno() if isinstance(output, Connection) else os.open(output, os.O_WRONLY | os.O_CREAT)
    for standard in (1, 2):
        os.dup2(target, standard)
    os.environ.clear()
    os.environ.update(environment)
    # It looks at KUBECONFIG while it is imported.
    if (kube_config := sys.modules.get("kubernetes.aio.config.kube_config")) is not None:
        importlib.reload(kube_config)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
