"""A kind node image from Go modules and Debian packages, for machines without an image registry."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
import uuid
from pathlib import Path

from . import golang, rootfs, static_images
from .docker import Docker
from .keys import binaries_key, digest, tree
from .paths import FILES, work_folder
from .progress import step
from .shell import Failed
from .versions import CNI_PLUGINS, KIND_MODULE, KIND_VERSION, KUBERNETES, NODE_BINARIES

RECIPE = "1"
BAKE = "harebell-bake-"
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
    containerd = "/etc/containerd/config.toml"
    hook = '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)'
    commands = (
        f"sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' {containerd}",
        f"sed -i 's#sandbox_image = .*#sandbox_image = \"{pause}\"#' {containerd}",
        f"ctr oci spec | jq '{hook}' > /etc/containerd/cri-base.json",
        f"echo v{KUBERNETES} > /kind/version",
        "mkdir -p /etc/cni/net.d",
        "systemctl enable harebell-network.service",
    )
    return f"RUN {' && '.join(commands)}\n"


def ensure(docker: Docker) -> str:
    """The node image's name, built first where the daemon lacks it."""
    name = tag()
    if docker.image_id(name):
        return name
    golang.build_all(NODE_BINARIES)
    _remove_unfinished(docker)
    for image in BASE_IMAGES:
        rootfs.ensure(docker, image)
    with tempfile.TemporaryDirectory(dir=work_folder()) as folder:
        work = Path(folder)
        with step("Make kind's base image"):
            base = _kind_base(docker, work / "base")
        with step("Make Kubernetes' own images"):
            images, pause = static_images.make(docker, work)
        with step("Make the node image"):
            bare = _node(docker, base, pause, work / "node")
            _commit_with_images(docker, bare, images, name)
    docker.forget_old(name.rsplit(":", 1)[0], 1)
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
    docker.run(
        "run", "--detach", "--privileged", "--name", container, "--entrypoint", "sleep", bare, "infinity"
    )
    try:
        docker.run("exec", "--detach", container, "containerd")
        deadline = time.monotonic() + 30
        while not docker.succeeds("exec", container, "ctr", "version"):
            if time.monotonic() > deadline:
                raise Failed("containerd did not start in the node image")
            time.sleep(0.3)
        everything = [*images, rootfs.RABBITMQ_SERVER.tag, rootfs.POSTGRESQL_SERVER.tag]
        # Unpacking needs a real file system below; the node does it when it first runs an image.
        importing = [
            "exec",
            "-i",
            container,
            "ctr",
            "-n",
            "k8s.io",
            "images",
            "import",
            "--local",
            "--no-unpack",
            "-",
        ]
        docker.pipe(["save", *everything], importing)
        docker.run("exec", container, "pkill", "-TERM", "containerd")
        entry = ("--change", 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]', "--change", "CMD []")
        docker.run("commit", *entry, container, name)
    finally:
        docker.run("rm", "--force", "--volumes", container)
