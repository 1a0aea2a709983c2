"""CycloneDX documents of our images: what the lock file pins, and the packages of Debian below it."""

import re
from typing import Any
from urllib.parse import quote

from .inventory import Inventory, Package, normalised

_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)
OURS = "harebell-"
"""What distributions of ours begin with; images hold them as plain modules."""
BASE = frozenset({"pip", "setuptools", "wheel"})
"""Distributions that a published Python image brings itself, beside its interpreter."""


class UnpinnedError(ValueError):
    """An image holds other distributions than its lock file says."""


def pinned(lock: str) -> dict[str, str]:
    """Return the versions that a lock file pins, by the normalised name."""
    return {normalised(name): version for name, version in _PINNED.findall(lock)}


def installed_lines(lock: str, inventory: Inventory) -> str:
    """Return the part of a lock file that is in the image: not what other platforms need.

    :raises UnpinnedError: the image holds something that is not pinned, or in another version.
    """
    pins = pinned(lock)
    strange = {
        name: version
        for name, version in inventory.python.items()
        if pins.get(name) != version and name not in BASE and not name.startswith(OURS)
    }
    if strange:
        listed = ", ".join(f"{name} {version}" for name, version in sorted(strange.items()))
        raise UnpinnedError(f"the image holds what its lock file does not pin: {listed}")
    # A requirement and its hashes are one paragraph, whose first line is not indented.
    paragraphs = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)
    kept = [p for p in paragraphs if (m := _PINNED.match(p)) and normalised(m[1]) in inventory.python]
    return "".join(kept)


def document(
    python: dict[str, Any], inventory: Inventory, name: str, version: str, content: str
) -> dict[str, Any]:
    """Return the document of an image.

    :param python: What cyclonedx-py made of the installed part of the lock file.
    :param content: The image's :func:`.content.content_digest`.
    """
    libraries = [_without_requirement(each) for each in python["components"]]
    debian = [component(package, inventory.release) for package in inventory.debian]
    about = {
        "type": "container",
        "bom-ref": name,
        "name": name,
        "version": version,
        "properties": [{"name": "harebell:content-digest", "value": content}],
    }
    components = sorted([*libraries, *debian], key=lambda each: each["bom-ref"])
    return {
        "$schema": python["$schema"],
        "bomFormat": "CycloneDX",
        "specVersion": python["specVersion"],
        "version": 1,
        "metadata": {"component": about, "tools": python["metadata"]["tools"]},
        "components": components,
        "dependencies": [
            {"ref": name, "dependsOn": [each["bom-ref"] for each in components]},
            *({"ref": each["bom-ref"]} for each in components),
        ],
    }


def component(package: Package, release: str) -> dict[str, Any]:
    """Return a package of Debian as a component, with its package URL (purl specification, type deb)."""
    where = f"arch={package.architecture}&distro=debian-{quote(release)}"
    # The specification leaves ":" as it is, in an epoch.
    purl = f"pkg:deb/debian/{quote(package.name)}@{quote(package.version, safe=':')}?{where}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
    }


def _without_requirement(made: dict[str, Any]) -> dict[str, Any]:
    """Leave the requirement's text out, and refer to the component by what it is instead of by a line."""
    return {**{k: v for k, v in made.items() if k != "description"}, "bom-ref": made["purl"]}
