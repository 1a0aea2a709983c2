"""Cache keys: an artefact is rebuilt exactly when something it is made from changes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from .paths import HERE
from .versions import BINARIES, Binary

SHORT = 12


def digest(parts: Iterable[str | bytes]) -> str:
    """Hash a list of parts; each is preceded by its length so that no two lists look alike."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(f"{len(data)}:".encode())
        total.update(data)
    return total.hexdigest()[:SHORT]


def tree(folder: Path) -> str:
    """Hash the names, modes and contents of a folder's files."""
    parts: list[str | bytes] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            parts += [str(path.relative_to(folder)), str(os.access(path, os.X_OK)), path.read_bytes()]
    return digest(parts)


def binary_key(binary: Binary) -> str:
    modules = tree(HERE / "modules" / binary.modules) if binary.modules else ""
    parts = [
        binary.name,
        binary.version,
        binary.package,
        modules,
        str(binary.cgo),
        binary.tags,
        binary.linker,
    ]
    return digest(parts)


def binaries_key(names: Iterable[str]) -> str:
    return digest(binary_key(BINARIES[name]) for name in sorted(names))


def publish(target: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder under a temporary name and rename it, so that a half-made one is never used."""
    if target.is_dir():
        return target
    new = target.with_name(target.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    make(new)
    new.rename(target)
    return target
