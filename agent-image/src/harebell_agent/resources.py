"""Processors and memory, of the container where it has limits of its own, otherwise of the machine."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from harebell_bus.envelopes import Cpu, Gpu, Memory, Resources
from harebell_bus.link import describe

from .cgroup import Cgroup
from .gpus import GpusUnreadableError, read_gpus
from .threads import in_thread

logger = logging.getLogger(__name__)

FIRST_SECONDS = 0.05
LEAST_SECONDS = 1.0
"""Utilization over less is noise: the last figure is given again."""
READ_SECONDS = 5.0
"""How long to wait for GPUs: one that hangs in its driver must not silence the agent."""


@dataclass(frozen=True)
class CpuSample:
    """Processor time used up to a moment, both in seconds."""

    used: float | None
    at: float


def machine_cpu_seconds() -> float:
    """Return the processor time the machine used so far."""
    times = psutil.cpu_times()
    # Time of virtual guests is in user and nice already.
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guests)


def utilization(before: CpuSample, after: CpuSample, cores: float) -> int | None:
    """Return percent of ``cores`` used between two samples; None where one has no figure."""
    if before.used is None or after.used is None:
        return None
    return min(100, max(0, round(100 * (after.used - before.used) / (after.at - before.at) / cores)))


def memory(cgroup: Cgroup) -> Memory:
    """Return the container's memory where it is limited, otherwise the machine's."""
    machine = psutil.virtual_memory()
    limited = cgroup.memory(machine.total)
    if limited is not None:
        return Memory(total_bytes=limited[0], used_bytes=limited[1])
    return Memory(total_bytes=machine.total, used_bytes=machine.total - machine.available)


class ResourceReader:
    """Reads all figures, and never waits long for them."""

    def __init__(
        self,
        cgroup: Cgroup | None = None,
        gpus: Callable[[], tuple[Gpu, ...]] = read_gpus,
        seconds: float = READ_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cgroup = cgroup or Cgroup()
        self._gpus = gpus
        self._seconds = seconds
        self._clock = clock
        self._reading: asyncio.Future[tuple[Gpu, ...]] | None = None
        self._utilization: int | None = None
        self._sample = self._sampled()

    async def read(self) -> Resources:
        """Return the figures; what cannot be read is None, with a reason for the GPUs."""
        cpu, used = self._cpu(), memory(self._cgroup)
        try:
            return Resources(cpu=cpu, memory=used, gpus=await self._read_gpus())
        except TimeoutError:
            reason = f"the driver did not answer within {self._seconds:g} s"
        except Exception as error:  # noqa: BLE001  (figures are never worth an agent, and the reason is told)
            reason = str(error) if isinstance(error, GpusUnreadableError) else describe(error)
        logger.warning("GPUs cannot be read: %s", reason)
        return Resources(cpu=cpu, memory=used, gpus=None, gpus_reason=reason)

    async def _read_gpus(self) -> tuple[Gpu, ...]:
        """Read them off the event loop; one thread at a time, however long one hangs."""
        if self._reading is None or self._reading.done():
            self._reading = in_thread(self._gpus, "gpus")
        async with asyncio.timeout(self._seconds):
            return await asyncio.shield(self._reading)

    def _cpu(self) -> Cpu:
        sample = self._sampled()
        cores = self._cgroup.cores() or psutil.cpu_count() or None
        # The first heartbeat comes moments after the start; a rough figure then beats none for a minute.
        least = FIRST_SECONDS if self._utilization is None else LEAST_SECONDS
        if cores and sample.at - self._sample.at >= least:
            self._utilization = utilization(self._sample, sample, cores)
            self._sample = sample
        return Cpu(cores=cores and max(1, math.ceil(cores)), utilization_percent=self._utilization)

    def _sampled(self) -> CpuSample:
        limited = self._cgroup.cores() is not None
        used = self._cgroup.cpu_seconds() if limited else machine_cpu_seconds()
        return CpuSample(used, self._clock())
