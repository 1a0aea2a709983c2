"""Processor and memory figures."""

from pathlib import Path

import psutil
import pytest

from harebell_agent.cgroup import Cgroup
from harebell_agent.resources import CpuSample, ResourceReader, memory, utilization

VERSION_2 = {
    "cpu.max": "150000 100000\n",
    "cpu.stat": "usage_usec 1000000\nuser_usec 1\n",
    "memory.max": "536870912\n",
    "memory.current": "104857600\n",
    "memory.stat": "anon 1\ninactive_file 4857600\n",
}
VERSION_1 = {
    "cpu/cpu.cfs_quota_us": "150000\n",
    "cpu/cpu.cfs_period_us": "100000\n",
    "cpuacct/cpuacct.usage": "1000000000\n",
    "memory/memory.limit_in_bytes": "536870912\n",
    "memory/memory.usage_in_bytes": "104857600\n",
    "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 4857600\n",
}
UNLIMITED_2 = {**VERSION_2, "cpu.max": "max 100000\n", "memory.max": "max\n"}
UNLIMITED_1 = {
    **VERSION_1,
    "cpu/cpu.cfs_quota_us": "-1\n",
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
}


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "later"),
    [
        (VERSION_2, {"cpu.stat": "usage_usec 4000000\n"}),
        (VERSION_1, {"cpuacct/cpuacct.usage": "4000000000\n"}),
    ],
)
async def test_a_container_with_limits(files: dict[str, str], later: dict[str, str], tmp_path: Path) -> None:
    times = iter([0.0, 10.0, 10.5])
    written(tmp_path, files)
    reader = ResourceReader(Cgroup(tmp_path), gpus=lambda: (), clock=lambda: next(times))
    written(tmp_path, later)
    read = await reader.read()
    assert (read.cpu.cores, read.cpu.utilization_percent) == (2, 20)
    assert (read.memory.total_bytes, read.memory.used_bytes) == (536870912, 100000000)
    assert read.gpus == ()
    # Half a second later the figure is the last one: over so little it would be noise.
    written(tmp_path, files)
    assert (await reader.read()).cpu.utilization_percent == 20


@pytest.mark.parametrize("files", [UNLIMITED_2, UNLIMITED_1, {}])
async def test_a_machine_without_limits(files: dict[str, str], tmp_path: Path) -> None:
    times = iter([0.0, 0.01])
    cgroup = Cgroup(written(tmp_path, files))
    read = await ResourceReader(cgroup, gpus=lambda: (), clock=lambda: next(times)).read()
    assert read.cpu.cores == psutil.cpu_count()
    assert read.cpu.utilization_percent is None
    assert read.memory.total_bytes == psutil.virtual_memory().total
    assert memory(cgroup).used_bytes


async def test_gpus_that_fail_unexpectedly_have_a_reason(tmp_path: Path) -> None:
    def gpus() -> tuple[()]:
        raise AttributeError("no such symbol")

    read = await ResourceReader(Cgroup(tmp_path), gpus=gpus).read()
    assert (read.gpus, read.gpus_reason) == (None, "AttributeError: no such symbol")


@pytest.mark.parametrize(
    ("before", "after", "percent"), [(0.0, 1.0, 25), (0.0, 9.0, 100), (1.0, 0.0, 0), (None, 1.0, None)]
)
def test_utilization(before: float | None, after: float | None, percent: int | None) -> None:
    assert utilization(CpuSample(before, 0), CpuSample(after, 2), 2) == percent
