"""GPU figures, through the real NVML bindings and a driver library that says what it is told to say."""

import subprocess
import sys
from pathlib import Path

import pytest

from . import nvml

GIB = 2**30

NOT_SUPPORTED, FUNCTION_NOT_FOUND, UNKNOWN, NO_PERMISSION, DRIVER_NOT_LOADED, GPU_LOST = 3, 13, 999, 4, 9, 15


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> nvml.Nvml:
    return nvml.build(tmp_path_factory.mktemp("nvml"))


def test_every_figure_of_every_gpu(stub: nvml.Nvml) -> None:
    read = stub.read(NVML_STUB_GPUS="2", NVML_STUB_MIG="1")
    assert read["gpus"] == [
        {
            "index": index,
            "uuid": f"GPU-00000000-0000-0000-0000-{index:012}",
            "name": f"NVIDIA Stub {index}",
            "memory_total_bytes": 80 * GIB,
            "memory_used_bytes": (index + 1) * GIB,
            "utilization_percent": 37,
            "mig": True,
        }
        for index in range(2)
    ]
    assert read["gpus_reason"] is None


def test_a_driver_without_gpus_is_no_gpu(stub: nvml.Nvml) -> None:
    assert stub.read(NVML_STUB_GPUS="0")["gpus"] == []


def test_a_driver_that_is_not_loaded_is_no_gpu(stub: nvml.Nvml) -> None:
    assert stub.read(NVML_STUB_FAIL=f"nvmlInitWithFlags={DRIVER_NOT_LOADED}")["gpus"] == []


def test_no_driver_library_is_no_gpu(tmp_path: Path) -> None:
    assert nvml.Nvml(tmp_path).read()["gpus"] == []


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (f"nvmlInitWithFlags={NO_PERMISSION}", "NVML cannot be started"),
        (f"nvmlDeviceGetCount_v2={UNKNOWN}", "NVML cannot tell what GPUs there are"),
        (f"nvmlDeviceGetHandleByIndex_v2:1={GPU_LOST}", "NVML cannot tell what GPUs there are"),
    ],
)
def test_a_driver_that_cannot_tell_is_not_no_gpu(stub: nvml.Nvml, fail: str, reason: str) -> None:
    read = stub.read(NVML_STUB_GPUS="2", NVML_STUB_FAIL=fail)
    assert read["gpus"] is None
    assert reason in read["gpus_reason"]
    assert read["memory"]["total_bytes"] > 0


def test_a_library_that_cannot_be_loaded_is_not_no_gpu(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    read = nvml.Nvml(tmp_path).read()
    assert read["gpus"] is None
    assert "cannot be loaded" in read["gpus_reason"]


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("nvmlDeviceGetName", ["name"]),
        ("nvmlDeviceGetUUID", ["uuid"]),
        ("nvmlDeviceGetMemoryInfo_v2", ["memory_total_bytes", "memory_used_bytes"]),
        ("nvmlDeviceGetUtilizationRates", ["utilization_percent"]),
        ("nvmlDeviceGetMigMode", ["mig"]),
    ],
)
def test_a_figure_that_cannot_be_read_is_null_and_never_zero(
    stub: nvml.Nvml, call: str, fields: list[str]
) -> None:
    first, second = stub.read(NVML_STUB_GPUS="2", NVML_STUB_FAIL=f"{call}:1={UNKNOWN}")["gpus"]
    assert [name for name, value in second.items() if value is None] == fields
    assert None not in first.values()


def test_a_gpu_that_cannot_be_partitioned_is_not(stub: nvml.Nvml) -> None:
    (gpu,) = stub.read(NVML_STUB_GPUS="1", NVML_STUB_FAIL=f"nvmlDeviceGetMigMode={NOT_SUPPORTED}")["gpus"]
    assert gpu["mig"] is False


def test_an_old_driver_has_only_the_first_memory_call(stub: nvml.Nvml) -> None:
    fail = f"nvmlDeviceGetMemoryInfo_v2={FUNCTION_NOT_FOUND}"
    (gpu,) = stub.read(NVML_STUB_GPUS="1", NVML_STUB_FAIL=fail)["gpus"]
    assert gpu["memory_used_bytes"] == GIB + 512 * 2**20


def test_a_driver_that_hangs_is_not_waited_for(stub: nvml.Nvml) -> None:
    read = stub.read(seconds=0.5, NVML_STUB_GPUS="1", NVML_STUB_FAIL="nvmlDeviceGetName=hang")
    assert read["gpus"] is None
    assert "did not answer within 0.5 s" in read["gpus_reason"]
    assert read["memory"]["total_bytes"] > 0


def test_the_bindings_are_imported_only_where_there_is_a_driver() -> None:
    code = (
        "import sys; from harebell_agent.gpus import read_gpus; import harebell_agent.main;"
        "assert read_gpus() == () and 'pynvml' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": ""}, timeout=60)
