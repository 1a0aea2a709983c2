"""Debian packages the tool needs, and how this machine reaches its Debian mirror."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from .progress import Problem, say, step
from .shell import SYSTEM_PATH, logged, run, succeeds

# Program (or file) → the Debian package that brings it.
DOCKER = {"dockerd": "docker.io", "docker": "docker.io", "iptables": "iptables", "ip": "iproute2"}
RUNTIME_WRAPPER = {"jq": "jq"}
ROOT_FILESYSTEMS = {
    "mmdebstrap": "mmdebstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
C_BUILDS = {
    "gcc": "gcc",
    "/usr/include/stdlib.h": "libc6-dev",
    "pkg-config": "pkg-config",
    "/usr/include/seccomp.h": "libseccomp-dev",
}

# Settings of this machine's apt that a root filesystem made from the same mirror needs as well.
CARRIED_SETTINGS = re.compile(r"^Acquire::(Check-Valid-Until|Check-Date|https?::Proxy) ", re.MULTILINE)


def _present(what: str) -> bool:
    if what.startswith("/"):
        return Path(what).exists()
    return shutil.which(what, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}") is not None


def missing(wanted: dict[str, str]) -> list[str]:
    return sorted({package for what, package in wanted.items() if not _present(what)})


def ensure(wanted: dict[str, str]) -> None:
    """Install what is missing, or say what to install."""
    needed = missing(wanted)
    if not needed:
        return
    names = " ".join(needed)
    if os.geteuid() != 0 or not _present("apt-get"):
        raise Problem(f"Missing packages: {names}. Install them (Debian or Ubuntu: apt-get install {names}).")
    say(f"Installing Debian packages this machine lacks: {names}")
    with step(f"Install {names}"):
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        logged(["apt-get", "update"], env=env)
        logged(["apt-get", "install", "-y", "--no-install-recommends", *needed], env=env)


def mirror() -> str | None:
    """The Debian mirror this machine's apt uses; None leaves the choice to mmdebstrap."""
    if not succeeds(["apt-get", "--version"]):
        return None
    listing = run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages"]
    )
    return pick_mirror(listing)


def pick_mirror(listing: str) -> str | None:
    for line in listing.splitlines():
        origin, label, *address = line.split()
        if origin == label == "Debian" and address:
            return address[0]
    return None


def apt_settings() -> list[str]:
    if not _present("apt-config"):
        return []
    lines = run(["apt-config", "dump"]).splitlines()
    return [line for line in lines if CARRIED_SETTINGS.match(line)]
