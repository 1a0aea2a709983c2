"""Kubernetes' own images and traefik's, each around one program built here."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from . import golang, packages, rootfs
from .docker import Docker
from .paths import FILES, work_folder
from .progress import Problem
from .shell import run
from .versions import BINARIES, KUBERNETES

TRAEFIK = f"harebell/traefik:{BINARIES['traefik'].version}"
STATIC_PATH = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def make(docker: Docker, work: Path) -> tuple[list[str], str]:
    """Images whose one file is a static program; only kube-proxy needs a few others beside it."""
    listing = run(
        [golang.built("kubeadm"), "config", "images", "list", "--kubernetes-version", f"v{KUBERNETES}"]
    )
    pause = ""
    made = [TRAEFIK]
    _single(docker, golang.built("traefik"), TRAEFIK)
    for image in listing.split():
        name = image.rsplit(":", 1)[0].rsplit("/", 1)[-1]
        if name == "pause":
            packages.ensure(packages.C_BUILDS)
            run(["gcc", "-static", "-O2", "-o", work / "pause", FILES / "node" / "pause.c"])
            _single(docker, work / "pause", image)
            pause = image
        elif name == "kube-proxy":
            _proxy(docker, work / "proxy", image)
        else:
            _single(docker, golang.built(name), image)
        made.append(image)
    if not pause:
        raise Problem("kubeadm names no pause image")
    return made, pause


def _single(docker: Docker, program: Path, image: str) -> None:
    place = f"usr/local/bin/{program.name}"
    archive = _archive(program, place)
    docker.run("import", "--change", STATIC_PATH, "--change", f'ENTRYPOINT ["/{place}"]', archive, image)
    archive.unlink()


def _archive(program: Path, place: str) -> Path:
    handle = tempfile.NamedTemporaryFile(dir=work_folder(), suffix=".tar", delete=False)  # noqa: SIM115
    handle.close()
    rename = f"s,.*,{place},"
    run(
        [
            "tar",
            "-cf",
            handle.name,
            "--owner=0",
            "--group=0",
            f"--transform={rename}",
            "-C",
            program.parent,
            program.name,
        ]
    )
    return Path(handle.name)


def _proxy(docker: Docker, work: Path, image: str) -> None:
    work.mkdir()
    shutil.copy2(golang.built("kube-proxy"), work)
    lines = [
        f"FROM {rootfs.PROXY_BASE.tag}",
        "COPY kube-proxy /usr/local/bin/",
        'ENTRYPOINT ["/usr/local/bin/kube-proxy"]',
    ]
    (work / "Dockerfile").write_text("\n".join(lines))
    docker.run("build", "--tag", image, work)
