"""CPU time by component, from /proc of this machine."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.kubectl import Kubectl

TICKS = os.sysconf("SC_CLK_TCK")
STATIC = {
    "API server": "kube-apiserver",
    "etcd": "etcd",
    "controllers": "kube-controller-manager",
    "scheduler": "kube-scheduler",
}
"""Component names of the control plane's Pods by what the report calls them."""


@dataclass(frozen=True)
class Meter:
    """What the processes of each component have used since the meter was started."""

    processes: Mapping[str, tuple[int, ...]]
    before: Mapping[str, float]
    idle_before: tuple[float, float]

    @classmethod
    def start(cls, processes: Mapping[str, Iterable[int]]) -> "Meter":
        """Begin to count. A component without a process on this machine is left out."""
        here = {name: found for name, pids in processes.items() if (found := tuple(pids))}
        return cls(here, {name: _total(pids) for name, pids in here.items()}, _machine())

    def used(self) -> dict[str, float]:
        """Return the CPU seconds of each component."""
        return {name: _total(pids) - self.before[name] for name, pids in self.processes.items()}

    def busy(self) -> float:
        """Return the share of all cores' time that was used by anything."""
        (idle, every), (idle_before, every_before) = _machine(), self.idle_before
        return 1 - (idle - idle_before) / max(1.0, every - every_before)


def of_control_plane(kubectl: Kubectl) -> dict[str, tuple[int, ...]]:
    """Return the processes of Kubernetes' own components, by name; none where they run elsewhere."""
    pods = kubectl.items("pods", "-n", "kube-system", "-l", "tier=control-plane")
    # The kubelet keeps a static Pod under the hash of its manifest, not under the UID that the API shows.
    ids = {
        p["metadata"]["labels"]["component"]: p["metadata"]["annotations"]["kubernetes.io/config.hash"]
        for p in pods
    }
    return {name: _in_pods([ids[component]]) for name, component in STATIC.items() if component in ids}


def of_pods(kubectl: Kubectl, *selector: str) -> tuple[int, ...]:
    """Return the processes of Pods that run on this machine."""
    return _in_pods([p["metadata"]["uid"] for p in kubectl.items("pods", *selector)])


def family(pid: int) -> tuple[int, ...]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return pid, *(int(child) for child in _text(children).split())


def _in_pods(uids: Iterable[str]) -> tuple[int, ...]:
    # A cgroup's name has the UID with dashes, with underscores, or without.
    wanted = [uid.replace("-", "") for uid in uids]
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            groups = _text(entry / "cgroup").replace("-", "").replace("_", "")
            if any(uid in groups for uid in wanted):
                found.append(int(entry.name))
    return tuple(found)


def _total(pids: Iterable[int]) -> float:
    """Return the CPU seconds of processes, and of those children that they have outlived."""
    ticks = 0
    for pid in pids:
        # After the name, which may hold anything: utime, stime, cutime and cstime are fields 14 to 17.
        fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS


def _machine() -> tuple[float, float]:
    """Return the idle and the whole time of all cores since they were started, in ticks."""
    times = [float(field) for field in _text(Path("/proc/stat")).splitlines()[0].split()[1:9]]
    return times[3] + times[4], sum(times)


def _text(path: Path) -> str:
    """Return what a file of /proc says, and nothing once its process has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
