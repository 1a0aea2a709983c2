"""A kind node image from Go modules and Debian packages, for machines without an image registry."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
import uuid
from pathlib import Path

from . import golang, packages, rootfs
from .docker import Docker
from .keys import binaries_key, digest, tree
from .paths import FILES, cache
from .progress import Problem, step
from .shell import Failed, run
from .versions import BINARIES, CNI_PLUGINS, KIND_MODULE, KIND_VERSION, KUBERNETES, NODE_BINARIES

RECIPE = "1"
BAKE = "harebell-bake-"
TRAEFIK = f"harebell/traefik:{BINARIES['traefik'].version}"
STATIC_PATH = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE_IMAGES = (rootfs.DEBIAN, rootfs.PROXY_BASE, rootfs.RABBITMQ_SERVER, rootfs.POSTGRESQL_SERVER)


def tag() -> str:
    parts = [RECIPE, KIND_VERSION, binaries_key(NODE_BINARIES), tree(FILES / "node")]
    return f"harebell/kind-node:v{KUBERNETES}-{digest([*parts, *(image.tag for image in BASE_IMAGES)])}"


def base_stage(dockerfile: str) -> str:
    """The first stage of kind's own base Dockerfile, without COPY flags that the classic builder lacks.

    The modes those flags would set are set on the files before they are sent.
    """
    stages = re.split(r"^(?=FROM )", dockerfile, flags=re.MULTILINE)
    return re.sub(r"--chmod=\d+ ", "", "".join(stages[:2]))


def configuration(pause: str) -> str:
    """Commands that fit containerd's configuration to this node and record the version for kind."""
    return f"""RUN sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' /etc/containerd/config.toml \\
 && sed -i 's#sandbox_image = .*#sandbox_image = "{pause}"#' /etc/containerd/config.toml \\
 && ctr oci spec | jq '.hooks.createContainer += [{{"path": "/kind/bin/mount-product-files.sh"}}] \
| del(.process.rlimits)' > /etc/containerd/cri-base.json \\
 && echo v{KUBERNETES} > /kind/version && mkdir -p /etc/cni/net.d && systemctl enable harebell-network.service
"""


def ensure(docker: Docker) -> str:
    """The node image's name, built first where the daemon lacks it."""
    name = tag()
    if docker.image_id(name):
        return name
    golang.build_all(NODE_BINARIES)
    _remove_unfinished(docker)
    for image in BASE_IMAGES:
        rootfs.ensure(docker, image)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        work = Path(folder)
        with step("Make kind's base image"):
            base = _kind_base(docker, work / "base")
        with step("Make Kubernetes' own images"):
            images, pause = _static_images(docker, work)
        with step("Make the node image"):
            bare = _node(docker, base, pause, work / "node")
            _commit_with_images(docker, bare, images, name)
    return name


def _remove_unfinished(docker: Docker) -> None:
    """Containers of an earlier run that was interrupted while it built an image."""
    for container in docker.run("ps", "--all", "--quiet", "--filter", f"name=^{BAKE}").split():
        docker.run("rm", "--force", "--volumes", container)


def _kind_base(docker: Docker, work: Path) -> str:
    source = golang.module_folder(KIND_MODULE, KIND_VERSION) / "images" / "base"
    name = f"harebell/kind-base:{KIND_VERSION}"
    work.mkdir()
    shutil.copytree(source / "files", work / "files")
    for path in work.rglob("*"):
        # Module archives carry no modes: programs are the files in the two bin folders.
        program = path.is_dir() or path.parent.name == "bin"
        path.chmod(0o755 if program else 0o644)
    (work / "Dockerfile").write_text(base_stage((source / "Dockerfile").read_text()))
    _build(docker, work, name, f"BASE_IMAGE={rootfs.DEBIAN.tag}")
    return name


def _build(docker: Docker, work: Path, name: str, *build_args: str) -> None:
    flags = [part for value in build_args for part in ("--build-arg", value)]
    docker.run("build", *flags, "--tag", name, work)


def _static_images(docker: Docker, work: Path) -> tuple[list[str], str]:
    """Images whose one file is a static program; only kube-proxy needs a few others beside it."""
    listing = run([golang.built("kubeadm"), "config", "images", "list", "--kubernetes-version", f"v{KUBERNETES}"])
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
    handle = tempfile.NamedTemporaryFile(dir=cache(), suffix=".tar", delete=False)  # noqa: SIM115
    handle.close()
    rename = f"s,.*,{place},"
    run(["tar", "-cf", handle.name, "--owner=0", "--group=0", f"--transform={rename}", "-C", program.parent, program.name])
    return Path(handle.name)


def _proxy(docker: Docker, work: Path, image: str) -> None:
    work.mkdir()
    shutil.copy2(golang.built("kube-proxy"), work)
    lines = [f"FROM {rootfs.PROXY_BASE.tag}", "COPY kube-proxy /usr/local/bin/", 'ENTRYPOINT ["/usr/local/bin/kube-proxy"]']
    (work / "Dockerfile").write_text("\n".join(lines))
    _build(docker, work, image)


def _node(docker: Docker, base: str, pause: str, work: Path) -> str:
    places = {
        "usr/local/bin": ("containerd", "containerd-shim-runc-v2", "ctr"),
        "usr/local/sbin": ("runc",),
        "usr/bin": ("kubeadm", "kubelet", "kubectl"),
        "opt/cni/bin": CNI_PLUGINS,
    }
    root = work / "root"
    for place, names in places.items():
        (root / place).mkdir(parents=True)
        for name in names:
            shutil.copy2(golang.built(name), root / place)
    for source, place in (
        ("harebell-network", "kind/bin/harebell-network"),
        ("harebell-network.service", "etc/systemd/system/harebell-network.service"),
        ("storage.yaml", "kind/manifests/default-storage.yaml"),
    ):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(FILES / "node" / source, root / place)
    (work / "Dockerfile").write_text(f"FROM {base}\nCOPY root/ /\n{configuration(pause)}")
    name = f"harebell/kind-node-bare:v{KUBERNETES}"
    _build(docker, work, name)
    return name


def _commit_with_images(docker: Docker, bare: str, images: list[str], name: str) -> None:
    """Start the bare node, import the images into its containerd, and keep the result."""
    container = f"{BAKE}{uuid.uuid4().hex[:8]}"
    docker.run("run", "--detach", "--privileged", "--name", container, "--entrypoint", "sleep", bare, "infinity")
    try:
        docker.run("exec", "--detach", container, "containerd")
        deadline = time.monotonic() + 30
        while not docker.succeeds("exec", container, "ctr", "version"):
            if time.monotonic() > deadline:
                raise Failed("containerd did not start in the node image")
            time.sleep(0.3)
        everything = [*images, rootfs.RABBITMQ_SERVER.tag, rootfs.POSTGRESQL_SERVER.tag]
        # Unpacking needs a real file system below; the node does it when it first runs an image.
        importing = ["exec", "-i", container, "ctr", "-n", "k8s.io", "images", "import", "--no-unpack", "-"]
        docker.pipe(["save", *everything], importing)
        docker.run("exec", container, "pkill", "-TERM", "containerd")
        entry = ("--change", 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]', "--change", "CMD []")
        docker.run("commit", *entry, container, name)
    finally:
        docker.run("rm", "--force", "--volumes", container)
