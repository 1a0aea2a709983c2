"""What GPUs there are, by NVML. None at all is not the same as not knowing."""

import ctypes
import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

from harebell_bus.envelopes import Gpu

logger = logging.getLogger(__name__)

_LIBRARY: Final = "libnvidia-ml.so.1"
_T = TypeVar("_T")


class GpusUnreadableError(Exception):
    """There may be GPUs, but the driver does not say. The text is the reason."""


def read_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs this process can see; empty where there is no driver or no GPU.

    The driver is opened and closed each time: it may be restarted while the agent lives. A figure that one
    GPU does not give (partitioned ones give no utilization, for example) is None.

    :raises GpusUnreadableError: there is a driver, and it cannot tell.
    """
    if not _library_present():
        return ()
    import pynvml  # Some 15 MiB of memory: only where there is a driver.

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value in (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED):
            return ()
        raise GpusUnreadableError(f"NVML cannot be started: {error}") from error
    try:
        return tuple(_read_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        raise GpusUnreadableError(f"NVML cannot tell what GPUs there are: {error}") from error
    finally:
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError as error:
            logger.debug("NVML cannot be shut down: %s", error)


def _library_present() -> bool:
    """Tell whether the driver's library can be loaded.

    :raises GpusUnreadableError: it is there and cannot.
    """
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError as error:
        # The loader has no error numbers, only these words for a file it did not find.
        if "No such file" in str(error):
            return False
        raise GpusUnreadableError(f"{_LIBRARY} cannot be loaded: {error}") from error
    return True


def _read_gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def figure(read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except nvml.NVMLError as error:
            logger.debug("GPU %d: %s", index, error)
            return None

    memory = figure(lambda: _memory(nvml, handle))
    utilization = figure(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    return Gpu(
        index=index,
        uuid=figure(lambda: nvml.nvmlDeviceGetUUID(handle)),
        name=figure(lambda: nvml.nvmlDeviceGetName(handle)),
        memory_total_bytes=None if memory is None else memory.total,
        memory_used_bytes=None if memory is None else memory.used,
        utilization_percent=utilization,
        mig=figure(lambda: _mig(nvml, handle)),
    )


def _memory(nvml: Any, handle: Any) -> Any:
    """Return total and used as nvidia-smi shows them: without what the driver keeps for itself."""
    try:
        return nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    except nvml.NVMLError as error:
        if error.value != nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
            raise
        return nvml.nvmlDeviceGetMemoryInfo(handle)  # a driver older than R510


def _mig(nvml: Any, handle: Any) -> bool:
    """Tell whether the GPU is partitioned; one that cannot be is not."""
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError as error:
        if error.value in (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND):
            return False
        raise
    return bool(current == nvml.NVML_DEVICE_MIG_ENABLE)
