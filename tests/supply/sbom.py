"""Writes the CycloneDX document of each image that is built here."""

import json
import subprocess
import tempfile
import tomllib
from pathlib import Path

from tests.cluster import docker as dockers
from tests.cluster import images, way
from tests.cluster.docker import Docker
from tests.cluster.images import PRODUCTS, Product
from tests.cluster.lock import exclusive
from tests.cluster.paths import REPOSITORY, cache
from tests.cluster.progress import step
from tests.support.environments import environment

from . import bom, inventory
from .content import content_digest

LOCKS = {"harebell/control-plane": "control-plane.txt", "harebell/agent": "agent.txt"}
_VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(str(problem) if problem else 0)
"""


def write(folder: Path) -> list[Path]:
    """Build the images where their inputs changed, and write NAME.cdx.json for each; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    docker = dockers.connect()
    with exclusive():
        base, base_id = images.python_base(docker, way.choose(docker))
        tags = {product: images.build(docker, product, base, base_id) for product in PRODUCTS}
        return [_write(docker, product, tag, folder) for product, tag in tags.items()]


def _write(docker: Docker, product: Product, tag: str, folder: Path) -> Path:
    with step(f"List what is in {product.name}"):
        held = inventory.take(docker, tag)
        lock = (REPOSITORY / "requirements" / LOCKS[product.name]).read_text()
        python = _of_requirements(bom.installed_lines(lock, held))
        version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
        made = bom.document(python, held, product.name, version, digest(docker, tag))
        text = json.dumps(made, indent=2) + "\n"
        _run([str(environment("supply-chain")), "-c", _VALIDATE], text)
    file = folder / f"{product.name.rsplit('/', 1)[1]}.cdx.json"
    file.write_text(text)
    return file


def digest(docker: Docker, image: str) -> str:
    """Return the digest of what an image holds."""
    with tempfile.TemporaryDirectory(dir=cache()) as work:
        saved = Path(work) / "image.tar"
        docker.run("save", "--output", saved, image)
        return content_digest(saved)


def _of_requirements(text: str) -> "dict[str, object]":
    python = str(environment("supply-chain"))
    command = [python, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--sv", "1.6", "-"]
    made: dict[str, object] = json.loads(_run(command, text))
    return made


def _run(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
