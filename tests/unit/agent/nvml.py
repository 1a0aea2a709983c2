"""Builds the NVML stub, and reads GPUs through it in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "nvml-stub" / "nvml.c"

READ = """
import asyncio, sys
from harebell_agent.resources import ResourceReader

async def read():
    return await ResourceReader(seconds=float(sys.argv[1])).read()

resources = asyncio.run(read())
print(resources.model_dump_json())
"""


@dataclass(frozen=True)
class Nvml:
    """The stub, built."""

    folder: Path

    def read(self, seconds: float = 60, **environment: str) -> dict[str, Any]:
        """Return Resources as the agent reports them where the stub answers as ``environment`` says."""
        found = subprocess.run(
            [sys.executable, "-c", READ, str(seconds)],
            env={**os.environ, "LD_LIBRARY_PATH": str(self.folder), **environment},
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        )
        read: dict[str, Any] = json.loads(found.stdout)
        return read


def build(folder: Path) -> Nvml:
    """Compile the stub into ``folder``."""
    library = folder / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE], check=True)
    return Nvml(folder)
