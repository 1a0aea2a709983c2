"""Remove what a Docker daemon of ours left behind, however it ended."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

from .paths import docker_folder, docker_runtime
from .shell import Failed, run, succeeds

DEFAULT_BRIDGE = "docker0"


def mark() -> str:
    """What names our bridge and cgroup: two caches on one machine must not clear each other's things."""
    return hashlib.sha256(str(docker_runtime()).encode()).hexdigest()[:6]


def bridge() -> str:
    return f"harebell-{mark()}"


def cgroup() -> str:
    return f"harebell-{mark()}"


def clear() -> None:
    """Kill survivors, unmount, remove interfaces, rules, cgroups and sockets. The daemon must be stopped."""
    _kill_survivors()
    _unmount()
    _remove_network()
    _remove_cgroups()
    _remove_shim_sockets()
    shutil.rmtree(docker_runtime(), ignore_errors=True)
    for folder in ("/run/docker/plugins", "/run/docker"):
        # Only if empty: dockerd makes them whatever its settings.
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def remember_before() -> None:
    """Note what the machine's network had before the daemon started, to leave that alone afterwards."""
    try:
        rules = {table: run(["iptables", "-t", table, "-S"]).splitlines() for table in ("filter", "nat")}
    except Failed:
        rules = {}
    before = {"default_bridge": _interface(DEFAULT_BRIDGE), "rules": rules}
    (docker_folder() / "before.json").write_text(json.dumps(before))


def _kill_survivors() -> None:
    """Processes in our cgroup, and shims and containerd that name our folder."""
    for _ in range(50):
        found = _in_our_cgroup() | _naming_our_folder()
        if not found:
            return
        for number in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.1)


def _our_cgroups() -> list[Path]:
    root = Path("/sys/fs/cgroup")
    return [path for path in (root / cgroup(), *root.glob(f"*/{cgroup()}")) if path.is_dir()]


def _in_our_cgroup() -> set[int]:
    found: set[int] = set()
    for top in _our_cgroups():
        for folder, _, _ in os.walk(top):
            try:
                found.update(int(line) for line in (Path(folder) / "cgroup.procs").read_text().split())
            except OSError:
                continue
    return found - {0}


def _naming_our_folder() -> set[int]:
    """containerd and its shims: they are started with paths below our runtime folder."""
    below = f"{docker_runtime()}/".encode()
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        program = arguments[0].rsplit(b"/", 1)[-1]
        if program.startswith(b"containerd") and any(below in argument for argument in arguments):
            found.add(int(entry.name))
    return found


def mounts_below(table: str, folders: list[str]) -> list[str]:
    """Mount points inside the folders, innermost first, from the text of /proc/self/mounts."""
    points = [line.split()[1].replace("\\040", " ") for line in table.splitlines()]
    inside = [point for point in points if any(point.startswith(f"{folder}/") for folder in folders)]
    return sorted(inside, key=len, reverse=True)


def _unmount() -> None:
    folders = [str(docker_folder()), str(docker_runtime())]
    for point in mounts_below(Path("/proc/self/mounts").read_text(), folders):
        _try("umount", "--lazy", point)


def _try(*command: str) -> None:
    with contextlib.suppress(Failed):
        run(command)


def _interface(name: str) -> bool:
    return succeeds(["ip", "link", "show", name])


def _remove_network() -> None:
    note = docker_folder() / "before.json"
    try:
        before = json.loads(note.read_text())
    except (OSError, ValueError):
        return
    bridges = [bridge()] + ([] if before["default_bridge"] else [DEFAULT_BRIDGE])
    for name in bridges:
        if _interface(name):
            _try("ip", "link", "delete", name)
    for table, rules in before["rules"].items():
        try:
            now = run(["iptables", "-t", table, "-S"]).splitlines()
        except Failed:
            return
        for arguments in rules_to_undo(rules, now, bridges):
            _try("iptables", "-t", table, *arguments)
    note.unlink()


def rules_to_undo(before: list[str], now: list[str], bridges: list[str]) -> list[list[str]]:
    """iptables arguments that take away what Docker added: rules first, then chains, then policies."""
    about = re.compile(rf"DOCKER|{'|'.join(map(re.escape, bridges))}\b")
    added = [line for line in now if line not in before and about.search(line)]
    rules = [["-D", *line.split()[1:]] for line in added if line.startswith("-A ")]
    chains = [line.split()[1] for line in added if line.startswith("-N ")]
    policies = [line.split() for line in before if line.startswith("-P ") and line not in now]
    return rules + [["-F", name] for name in chains] + [["-X", name] for name in chains] + policies


def _remove_cgroups() -> None:
    for top in _our_cgroups():
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _remove_shim_sockets() -> None:
    """Shims listen in a folder shared by all containerds, under a hash of whose container they serve."""
    address = docker_runtime() / "exec" / "containerd" / "containerd.sock"
    for container in (docker_folder() / "data" / "containers").glob("*"):
        name = hashlib.sha256(f"{address}/moby/{container.name}".encode()).hexdigest()
        Path("/run/containerd/s", name).unlink(missing_ok=True)
