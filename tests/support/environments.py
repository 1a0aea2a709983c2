"""Python environments beside the development one, for programs whose dependencies must not mix with ours."""

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.cluster.keys import publish
from tests.cluster.paths import REPOSITORY, cache


def environment(name: str) -> Path:
    """Return the Python of the environment of ``requirements/NAME.txt``, made first where there is none.

    Its programs are run by ``-m``: their scripts name the folder in which they were installed.
    """
    requirements = REPOSITORY / "requirements" / f"{name}.txt"
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        uv = Path(sys.executable).with_name("uv")
        install: list[str | Path] = [uv, "pip", "install", "-q", "--require-hashes", "-r", requirements]
        subprocess.run([*install, "--python", folder / "bin/python"], check=True)

    cache().mkdir(parents=True, exist_ok=True)
    return publish(cache() / f"{name}-{key}", make) / "bin" / "python"
