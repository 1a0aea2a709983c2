"""The Helm chart, rendered without asking a cluster, and ways to look into what came out."""

import base64
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "charts" / "harebell"
DIGEST = f"sha256:{'0123456789abcdef' * 4}"

EXTERNAL = {
    "rabbitmq": {
        "embedded": {"enabled": False},
        "external": {"existingSecret": "my-broker", "caKey": "ca.pem"},
    },
    "postgresql": {
        "embedded": {"enabled": False},
        "external": {"existingSecret": "my-database", "existingReaderSecret": "my-reader"},
    },
    "api": {"existingSecret": "my-keys"},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "external": EXTERNAL,
    "cluster": {"rabbitmq": {"embedded": {"replicas": 3}}},
    "replicas": {"operator": {"replicas": 2}},
    "exposed": {"api": {"ingress": {"enabled": True, "host": "bell.example.org"}}},
    "plain": {"rabbitmq": {"embedded": {"tls": {"enabled": False}}}},
    "certificate": {
        "rabbitmq": {
            "embedded": {"tls": {"existingSecret": "my-certificate", "requireClientCertificate": True}}
        },
        "operator": {"existingAmqpCertSecret": "my-client"},
        "agentDefaults": {"existingAmqpCertSecret": "my-client"},
        "archiver": {"existingAmqpCertSecret": "my-client"},
    },
    "pools": {
        "imagePullSecrets": [{"name": "registry"}],
        "agents": {
            "text": None,
            "gpu": {
                "type": "llm",
                "replicas": 5,
                "concurrency": 4,
                "drainSeconds": 120,
                "image": {
                    "registry": "registry.example.org:5000",
                    "repository": "me/agent",
                    "digest": DIGEST,
                },
                "module": "my.agents:llm",
                "commandAllow": [["df"], {"argv": ["git", "status"], "idempotent": True}],
                "env": [{"name": "MODE", "value": "fast"}],
                "nodeSelector": {"gpu": "yes"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "resources": {"limits": {"memory": "1Gi", "nvidia.com/gpu": 1}},
            },
        },
    },
}

ZONES = {
    "maxSkew": 1,
    "topologyKey": "topology.kubernetes.io/zone",
    "whenUnsatisfiable": "ScheduleAnyway",
}
PLACED = {"priorityClassName": "system-cluster-critical", "topologySpreadConstraints": [ZONES]}
GATEWAY = {"name": "public", "namespace": "gateways"}
VARIANTS |= {
    "placed": {
        "operator": PLACED,
        "agentDefaults": PLACED,
        "archiver": PLACED,
        "rabbitmq": {"embedded": PLACED},
        "postgresql": {"embedded": PLACED},
    },
    "closed": {
        "networkPolicy": {
            "api": {"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]},
            "apiServer": {"to": [{"ipBlock": {"cidr": "198.51.100.0/28"}}], "ports": [6443]},
            "agents": {
                "openEgress": False,
                "egress": [{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]}],
            },
            "rabbitmq": {"alsoFrom": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]},
            "postgresql": {"alsoFrom": [{"podSelector": {"matchLabels": {"app": "backup"}}}]},
        }
    },
    "secured": {
        "api": {
            "ingress": {
                "enabled": True,
                "host": "bell.example.org",
                "annotations": {"cert-manager.io/cluster-issuer": "public"},
                "tls": [{"hosts": ["bell.example.org"], "secretName": "bell-tls"}],
            }
        }
    },
    "routed": {
        "api": {"httpRoute": {"enabled": True, "parentRefs": [GATEWAY], "hostnames": ["b.example.org"]}}
    },
    "monitored": {
        "monitoring": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "rules": {"runbookUrl": "https://docs.example.org/runbook"},
            "dashboard": {"enabled": True},
        }
    },
    "bare": {
        "networkPolicy": {"enabled": False},
        "rbac": {"aggregateClusterRoles": False},
        "admissionPolicy": {"enabled": False},
    },
}

every_variant = pytest.mark.parametrize("variant", VARIANTS)


@functools.cache
def helm() -> str:
    found = os.environ.get("HAREBELL_HELM") or shutil.which("helm")
    if found:
        return found
    command = [sys.executable, "-m", "tests.cluster", "tool", "helm"]
    return subprocess.run(
        command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def run_helm(*args: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    # No kubeconfig: a test of files must not depend on, or reach, a cluster.
    env = os.environ | {"KUBECONFIG": os.devnull}
    command = [helm(), *args, "--values", "-"]
    return subprocess.run(
        command, input=json.dumps(values), env=env, capture_output=True, text=True, check=False
    )


@functools.cache
def _render(values: str, release: str, namespace: str) -> list[dict[str, Any]]:
    done = run_helm("template", release, str(CHART), "--namespace", namespace, values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def render(
    values: dict[str, Any] | None = None, release: str = "bell", namespace: str = "agents"
) -> list[dict[str, Any]]:
    return _render(json.dumps(values or {}), release, namespace)


def of_kind(resources: list[dict[str, Any]], *kinds: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in resources if each["kind"] in kinds}


def pods(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Pod templates by their owner's name."""
    return {n: w["spec"]["template"] for n, w in of_kind(resources, "Deployment", "StatefulSet").items()}


def containers(resources: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, pod in pods(resources).items():
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            yield f"{name}/{container['name']}", container


def environment(resources: list[dict[str, Any]], container: str) -> dict[str, Any]:
    env = dict(containers(resources))[container]["env"]
    assert len({each["name"] for each in env}) == len(env)
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in env}


def secret_texts(resources: list[dict[str, Any]]) -> Iterator[str]:
    for secret in of_kind(resources, "Secret").values():
        yield from secret.get("stringData", {}).values()
        yield from (base64.b64decode(value).decode() for value in secret.get("data", {}).values())


def amqp_files(resources: list[dict[str, Any]], pod: str) -> dict[str, str]:
    """What a Pod's folder for the broker holds: SECRET/KEY by the file's name."""
    (amqp,) = (v for v in pods(resources)[pod]["spec"]["volumes"] if v["name"] == "amqp")
    secrets = [source["secret"] for source in amqp["projected"]["sources"]]
    return {item["path"]: f"{s['name']}/{item['key']}" for s in secrets for item in s["items"]}


def amqp_secrets(resources: list[dict[str, Any]]) -> dict[str, str]:
    """The Secret each Pod mounts a broker's URL from, by the Pod's component."""
    return {
        name.removeprefix("bell-harebell-"): amqp_files(resources, name)["url"].removesuffix("/url")
        for name in pods(resources)
        if not name.endswith(("-rabbitmq", "-postgresql"))
    }


def definitions(resources: list[dict[str, Any]]) -> dict[str, Any]:
    text = of_kind(resources, "Secret")["bell-harebell-rabbitmq"]["stringData"]["definitions.json"]
    found: dict[str, Any] = json.loads(text)
    return found
