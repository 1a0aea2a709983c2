"""Processor and memory figures."""

from pathlib import Path

import psutil
import pytest

from harebell_agent.resources import CpuSample, ResourceReader, cpu_limit, memory, utilization


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 1000000\nuser_usec 1\n")
    (tmp_path / "memory.max").write_text("536870912\n")
    (tmp_path / "memory.current").write_text("104857600\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 4857600\n")
    return tmp_path


async def test_a_container_with_limits(cgroup: Path) -> None:
    times = iter([0.0, 10.0, 10.5])
    reader = ResourceReader(cgroup, gpus=lambda: (), clock=lambda: next(times))
    (cgroup / "cpu.stat").write_text("usage_usec 4000000\n")
    read = await reader.read()
    assert (read.cpu.cores, read.cpu.utilization_percent) == (2, 20)
    assert (read.memory.total_bytes, read.memory.used_bytes) == (536870912, 100000000)
    assert read.gpus == ()
    # Half a second later the figure is the last one: over so little it would be noise.
    (cgroup / "cpu.stat").write_text("usage_usec 5000000\n")
    assert (await reader.read()).cpu.utilization_percent == 20


async def test_a_machine_without_limits(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    times = iter([0.0, 0.1])
    read = await ResourceReader(tmp_path, gpus=lambda: (), clock=lambda: next(times)).read()
    assert read.cpu.cores == psutil.cpu_count()
    assert read.cpu.utilization_percent is None
    assert read.memory.total_bytes == psutil.virtual_memory().total
    assert cpu_limit(tmp_path / "nowhere") is None
    assert memory(tmp_path / "nowhere").total_bytes == psutil.virtual_memory().total


async def test_gpus_that_fail_unexpectedly_have_a_reason(tmp_path: Path) -> None:
    def gpus() -> tuple[()]:
        raise AttributeError("no such symbol")

    read = await ResourceReader(tmp_path, gpus=gpus).read()
    assert (read.gpus, read.gpus_reason) == (None, "AttributeError: no such symbol")


@pytest.mark.parametrize(
    ("before", "after", "percent"), [(0.0, 1.0, 25), (0.0, 9.0, 100), (1.0, 0.0, 0), (None, 1.0, None)]
)
def test_utilization(before: float | None, after: float | None, percent: int | None) -> None:
    assert utilization(CpuSample(before, 0), CpuSample(after, 2), 2) == percent
