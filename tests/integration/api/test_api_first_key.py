"""What Helm does with the Secret of API keys, and what it leaves alone. No Pod runs: none finds a node."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster.api import Cluster
from tests.support.kubectl import Kubectl, helm
from tests.support.servers import CHART

from harebell_crds.keys import KeyState, parse_record

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer

RELEASE = "bell"
KEYS, TEXT = "bell-harebell-api-keys", "bell-harebell-api-bootstrap-key"
BARE = (
    "--skip-crds", "--set", "admissionPolicy.enabled=false", "--set", "operator.nodeSelector.nowhere=yes",
    "--set", "rabbitmq.embedded.enabled=false", "--set", "rabbitmq.external.existingSecret=none",
    "--set", "postgresql.embedded.enabled=false", "--set", "agents.text=null", "--set", "agents.infra=null",
)  # fmt: skip


def entries(kubectl: Kubectl, secret: str) -> dict[str, bytes] | None:
    """The entries of a Secret, or None: there is none."""
    found = kubectl("get", "secret", secret, "--ignore-not-found", "-o", "json")
    if not found.strip():
        return None
    return {name: base64.b64decode(value) for name, value in json.loads(found).get("data", {}).items()}


def test_what_was_revoked_stays_so_whatever_helm_does(
    cluster: Cluster, kubeconfig: Path, kubectl: Kubectl, namespace: str
) -> None:
    def release(*arguments: str) -> str:
        return helm(cluster, *arguments, "-n", namespace)

    def command(*arguments: str) -> str:
        line = [
            sys.executable,
            "-m",
            "harebell_cli",
            "keys",
            *arguments,
            "-n",
            namespace,
            "--release",
            RELEASE,
        ]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        return subprocess.run(line, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    notes = release("install", RELEASE, str(CHART), *BARE)
    assert f"get secret {TEXT} -o jsonpath='{{.data.key}}'" in notes
    assert "harebell keys revoke" in notes
    text, first = entries(kubectl, TEXT), entries(kubectl, KEYS)
    assert text is not None
    assert first is not None
    assert parse_record("bootstrap", first["bootstrap"]).is_of(text["key"].decode())

    command("create", "--name", "web", "--scope", "read")
    release("upgrade", RELEASE, str(CHART), *BARE, "--set", "logLevel=debug")
    assert entries(kubectl, TEXT) == text
    command("revoke", "bootstrap")
    kubectl("delete", "secret", TEXT)
    kept = entries(kubectl, KEYS)
    assert kept is not None
    states = {parse_record(name, entry).name: entry for name, entry in kept.items()}
    assert set(states) == {"bootstrap", "web"}
    assert parse_record("bootstrap", states["bootstrap"]).revoked

    notes = release("upgrade", RELEASE, str(CHART), *BARE)
    assert "harebell keys create" in notes
    assert TEXT not in notes
    release("rollback", RELEASE, "1")
    assert (entries(kubectl, KEYS), entries(kubectl, TEXT)) == (kept, None)

    release("uninstall", RELEASE)
    release("install", RELEASE, str(CHART), *BARE)
    assert (entries(kubectl, KEYS), entries(kubectl, TEXT)) == (kept, None)

    # With nothing left that could let anybody in, the next upgrade begins anew.
    kubectl("delete", "secret", KEYS)
    release("upgrade", RELEASE, str(CHART), *BARE)
    again, made = entries(kubectl, TEXT), entries(kubectl, KEYS)
    assert again is not None
    assert made is not None
    assert again != text
    record = parse_record("bootstrap", made["bootstrap"])
    assert record.is_of(again["key"].decode())
    assert record.state(record.created_at) is KeyState.ACTIVE
