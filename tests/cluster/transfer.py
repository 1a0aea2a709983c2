"""Copy images from the Docker daemon to the nodes, leaving out the layers the nodes have.

A change to the product's code changes one small layer; sending only that one turns half a minute of two
cores' work into a second.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .docker import Docker
from .paths import work_folder
from .shell import Failed, run

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
NAME = "io.containerd.image.name"
GZIP = b"\x1f\x8b"
CTR = ("ctr", "--namespace", "k8s.io")


def reference(tag: str) -> str:
    """The full name under which container runtimes know an image."""
    first = tag.split("/")[0]
    if "/" in tag and ("." in first or ":" in first or first == "localhost"):
        return tag
    return f"docker.io/{tag if '/' in tag else f'library/{tag}'}"


def on_node(docker: Docker, node: str, tag: str) -> bool:
    out = docker.run("exec", node, *CTR, "images", "ls", "--quiet", f"name=={reference(tag)}")
    return bool(out.strip())


def copy(docker: Docker, nodes: list[str], tags: list[str]) -> None:
    """Put images on nodes; where leaving layers out does not work, send everything."""
    with tempfile.TemporaryDirectory(dir=work_folder()) as folder:
        saved, sent = Path(folder) / "saved.tar", Path(folder) / "sent.tar"
        docker.run("save", "--output", saved, *tags)
        convert(saved, sent, _common_blobs(docker, nodes))
        try:
            _import(docker, nodes, sent)
        except Failed:
            convert(saved, sent, set())
            _import(docker, nodes, sent)


def _common_blobs(docker: Docker, nodes: list[str]) -> set[str]:
    with ThreadPoolExecutor() as workers:
        command = ("content", "ls", "--quiet")
        found = workers.map(lambda node: set(docker.run("exec", node, *CTR, *command).split()), nodes)
        return set.intersection(*found)


def _import(docker: Docker, nodes: list[str], archive: Path) -> None:
    def put(node: str) -> None:
        # --local: containerd's newer way of importing takes three times the CPU.
        command = ["docker", "exec", "-i", node, *CTR, "images", "import", "--local", "-"]
        run(command, env=docker.env, stdin_file=archive, timeout=300)

    with ThreadPoolExecutor() as workers:
        list(workers.map(put, nodes))


def convert(saved: Path, sent: Path, known: set[str]) -> None:
    """Turn the output of `docker save` into an OCI archive without the layers in `known`."""
    with tarfile.open(saved) as source, tarfile.open(sent, "w") as target:
        written = set(known)
        manifests = []
        for image in json.loads(_member(source, "manifest.json")):
            config = _put(target, _member(source, image["Config"]), CONFIG_TYPE, written=set())
            layers = [_put(target, _member(source, layer), LAYER_TYPE, written) for layer in image["Layers"]]
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers}
            entry = _put(target, json.dumps(manifest).encode(), MANIFEST_TYPE, written=set())
            manifests += [entry | {"annotations": {NAME: reference(tag)}} for tag in image["RepoTags"]]
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
        _add(target, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(target, "index.json", json.dumps(index).encode())


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise Failed(f"docker save wrote no {name}")
    return file.read()


def _put(target: tarfile.TarFile, data: bytes, kind: str, written: set[str]) -> dict[str, Any]:
    """Add a blob unless it was written before; return what describes it."""
    digest = hashlib.sha256(data).hexdigest()
    if f"sha256:{digest}" not in written:
        _add(target, f"blobs/sha256/{digest}", data)
        written.add(f"sha256:{digest}")
    suffix = "+gzip" if kind == LAYER_TYPE and data.startswith(GZIP) else ""
    return {"mediaType": kind + suffix, "digest": f"sha256:{digest}", "size": len(data)}


def _add(target: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    target.addfile(member, io.BytesIO(data))
