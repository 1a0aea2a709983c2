"""The tool's own Docker daemon, for machines where none runs (such as containers and build machines)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from . import leftovers, packages
from .paths import FILES, docker_folder, docker_runtime, docker_socket
from .progress import Problem, tail
from .shell import environment

CAP_SYS_RESOURCE = 24
START_SECONDS = 40
STOP_SECONDS = 20


def lacks_sys_resource(status: str) -> bool:
    """Whether the bounding set in /proc/self/status has no CAP_SYS_RESOURCE, which runc asks for."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            return not int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1
    return False


def settings(folder: Path, runtime: Path, wrapper: Path | None) -> dict[str, object]:
    """The daemon's configuration: everything in folders of its own, so it never meets another daemon."""
    wanted: dict[str, object] = {
        "data-root": str(folder / "data"),
        "exec-root": str(runtime / "exec"),
        "pidfile": str(runtime / "docker.pid"),
        "hosts": [f"unix://{runtime / 'docker.sock'}"],
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        # A cgroup of our own tells our containers' processes from anyone else's after a crash.
        "cgroup-parent": f"/{leftovers.cgroup()}",
        "log-opts": {"max-size": "20m", "max-file": "2"},
    }
    if wrapper:
        wanted["runtimes"] = {"without-sys-resource": {"path": str(wrapper)}}
        wanted["default-runtime"] = "without-sys-resource"
    return wanted


def pid() -> int | None:
    """The daemon's process id while it lives."""
    try:
        number = int((docker_runtime() / "docker.pid").read_text())
        name, _, rest = Path(f"/proc/{number}/stat").read_text().rpartition(")")
    except (OSError, ValueError):
        return None
    # A dead daemon that nobody has waited for still has an entry, in state Z.
    return number if name.endswith("(dockerd") and rest.split()[0] != "Z" else None


def start() -> None:
    folder, runtime = docker_folder(), docker_runtime()
    stop_process()
    leftovers.clear()
    for path in (folder, runtime):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    leftovers.remember_before()
    wrapper = None
    if lacks_sys_resource(Path("/proc/self/status").read_text()):
        packages.ensure(packages.RUNTIME_WRAPPER)
        wrapper = runtime / "runc-without-sys-resource"
        wrapper.write_bytes((FILES / wrapper.name).read_bytes())
        wrapper.chmod(0o755)
    config = runtime / "daemon.json"
    config.write_text(json.dumps(settings(folder, runtime, wrapper), indent=1))
    log = folder / "dockerd.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["dockerd", "--config-file", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment(),
            cwd="/",
            # The daemon outlives this tool and its terminal.
            start_new_session=True,
        )
    _await_socket(process, log)


def _await_socket(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Problem(f"dockerd did not start. Its log, {log}, ends with:\n{tail(log, 5)}")
        # The socket appears before the API answers; the log line says when it does.
        if docker_socket().exists() and "API listen on" in tail(log):
            return
        time.sleep(0.1)
    raise Problem(f"dockerd did not answer within {START_SECONDS} s; its log is {log}")


def stop_process() -> None:
    """Ask the daemon to end; insist after a while."""
    number = pid()
    if number is None:
        return
    for how, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5)):
        try:
            os.kill(number, how)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if pid() is None:
                return
            time.sleep(0.1)


def stop() -> None:
    stop_process()
    leftovers.clear()
