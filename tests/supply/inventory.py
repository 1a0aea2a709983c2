"""What an image holds, asked of the image itself: distributions of Python and packages of Debian."""

import json
from dataclasses import dataclass

from tests.cluster.docker import Docker

_DISTRIBUTIONS = """
import importlib.metadata, json
print(json.dumps([[d.name, d.version] for d in importlib.metadata.distributions()]))
"""
_FORMAT = "${Package}\\t${Version}\\t${Architecture}\\t${db:Status-Abbrev}\\n"


@dataclass(frozen=True, order=True)
class Package:
    """A package of Debian."""

    name: str
    version: str
    architecture: str


@dataclass(frozen=True)
class Inventory:
    """What is in an image."""

    python: dict[str, str]
    """Versions by the normalised name (PEP 503)."""
    debian: tuple[Package, ...]
    release: str
    """Of Debian, as VERSION_ID says or else VERSION_CODENAME."""


def take(docker: Docker, image: str) -> Inventory:
    """Look into an image."""
    python = json.loads(_run(docker, image, "python3", "-c", _DISTRIBUTIONS))
    return Inventory(
        {normalised(name): version for name, version in python},
        packages(_run(docker, image, "dpkg-query", "-W", "-f", _FORMAT)),
        release(_run(docker, image, "cat", "/etc/os-release")),
    )


def normalised(name: str) -> str:
    """Return a distribution's name as indexes compare it (PEP 503)."""
    return "-".join(part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part)


def packages(listing: str) -> tuple[Package, ...]:
    """Read what dpkg-query printed: the installed packages, in order."""
    rows = [line.split("\t") for line in listing.splitlines()]
    return tuple(sorted(Package(*row[:3]) for row in rows if row[3].startswith("ii")))


def release(text: str) -> str:
    """Read os-release. :raises ValueError: it names no release of Debian."""
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    for key in ("VERSION_ID", "VERSION_CODENAME"):
        if said.get(key):
            return said[key].strip('"')
    raise ValueError("os-release has neither VERSION_ID nor VERSION_CODENAME")


def _run(docker: Docker, image: str, program: str, *arguments: str) -> str:
    return docker.run("run", "--rm", "--network", "none", "--entrypoint", program, image, *arguments)
