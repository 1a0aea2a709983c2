"""What a container may use and uses, from its control group, of either version.

Kernel documentation: "Control Group v2", and "Control Groups version 1" (cpu, cpuacct, memory).
"""

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


class Cgroup:
    """A container's control group; where there is none, or it sets no limit, everything is None."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root

    def cores(self) -> float | None:
        """Return how many cores the container may use."""
        quota, _, period = self._read("cpu.max").partition(" ")
        if not quota:
            quota, period = self._read("cpu/cpu.cfs_quota_us"), self._read("cpu/cpu.cfs_period_us")
        # "max" or -1: no limit.
        return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None

    def cpu_seconds(self) -> float | None:
        """Return the processor time the container used so far."""
        microseconds = self._table("cpu.stat").get("usage_usec")
        if microseconds is not None:
            return microseconds / 1e6
        nanoseconds = self._number("cpuacct/cpuacct.usage")
        return None if nanoseconds is None else nanoseconds / 1e9

    def memory(self, machine: int) -> tuple[int, int] | None:
        """Return the bytes it may use, and uses without file cache that would be given up.

        A limit no smaller than ``machine``, its whole memory, is none: version 1 writes a huge number.
        """
        for limit, used, stat, cache in (
            ("memory.max", "memory.current", "memory.stat", "inactive_file"),
            (
                "memory/memory.limit_in_bytes",
                "memory/memory.usage_in_bytes",
                "memory/memory.stat",
                "total_inactive_file",
            ),
        ):
            total, taken = self._number(limit), self._number(used)
            if total is not None and taken is not None and total < machine:
                return total, max(0, taken - self._table(stat).get(cache, 0))
        return None

    def _read(self, name: str) -> str:
        try:
            return (self._root / name).read_text().strip()
        except OSError:
            return ""

    def _number(self, name: str) -> int | None:
        text = self._read(name)
        return int(text) if text.isdigit() else None

    def _table(self, name: str) -> dict[str, int]:
        rows = (line.split() for line in self._read(name).splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
