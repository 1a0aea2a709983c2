"""A digest of what an image holds, and of nothing about when it was built.

Builders put the time of a build into files' times and into the image's configuration, so two builds of the
same sources have different ids. BuildKit can take that out (``rewrite-timestamp``); this leaves it out of the
digest whatever builder there is.
"""

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
CONFIGURED = ("Cmd", "Entrypoint", "Env", "ExposedPorts", "User", "WorkingDir", "StopSignal", "Volumes")


@dataclass(frozen=True)
class Entry:
    """One file of an image, as a container sees it, but for its times."""

    kind: str
    mode: int
    owner: tuple[int, int]
    content: str
    """The content's SHA-256, or where a link leads."""


def content_digest(archive: Path) -> str:
    """Return the digest of the one image in what ``docker save`` wrote."""
    with tarfile.open(archive) as saved:
        (image,) = json.loads(_member(saved, "manifest.json"))
        config = json.loads(_member(saved, image["Config"]))["config"]
        files = flattened([_layer(saved, name) for name in image["Layers"]])
    return digest_of(files, config)


def digest_of(files: dict[str, Entry], config: dict[str, Any]) -> str:
    """Return the digest of files by their paths, and of how the image starts."""
    listed = [[path, e.kind, e.mode, e.owner, e.content] for path, e in sorted(files.items())]
    started = {key: config[key] for key in CONFIGURED if config.get(key)}
    text = json.dumps([listed, started], sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def flattened(layers: list[dict[str, Entry]]) -> dict[str, Entry]:
    """Put layers on one another. A whiteout takes away what is below it (OCI Image Layer Specification)."""
    files: dict[str, Entry] = {}
    for layer in layers:
        for path in layer:
            name, parent = PurePosixPath(path).name, str(PurePosixPath(path).parent)
            if name == OPAQUE:
                _remove(files, parent, itself=False)
            elif name.startswith(WHITEOUT):
                _remove(files, str(PurePosixPath(parent) / name.removeprefix(WHITEOUT)), itself=True)
        files |= {p: e for p, e in layer.items() if not PurePosixPath(p).name.startswith(WHITEOUT)}
    return files


def _remove(files: dict[str, Entry], path: str, *, itself: bool) -> None:
    for each in [p for p in files if p.startswith(f"{path}/") or (itself and p == path)]:
        del files[each]


def _layer(saved: tarfile.TarFile, name: str) -> dict[str, Entry]:
    file = saved.extractfile(name)
    if file is None:
        raise ValueError(f"docker save wrote no {name}")
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=file) as layer:
        for member in layer:
            path = str(PurePosixPath(member.name))
            if path != ".":
                content = member.linkname
                if member.isreg():
                    data = layer.extractfile(member)
                    content = hashlib.sha256(data.read() if data else b"").hexdigest()
                kind = member.type.decode()
                found[path] = Entry(kind, member.mode, (member.uid, member.gid), content)
    return found


def _member(saved: tarfile.TarFile, name: str) -> bytes:
    file = saved.extractfile(name)
    if file is None:
        raise ValueError(f"docker save wrote no {name}")
    return file.read()
