"""What the processes that speak to Kubernetes do not import."""

import subprocess
import sys

import pytest

CHECK = """
from harebell_crds.lean import without_synchronous_client
without_synchronous_client()
import sys
import {component}.main
assert "kubernetes.aio.client" in sys.modules
print(*sorted(sys.modules.keys() & {{"kubernetes.config", "requests", "requests_oauthlib"}}))
from kubernetes import client
client.CoreV1Api
"""

components = pytest.mark.parametrize("component", ["harebell_api", "harebell_operator"])


@components
def test_the_synchronous_client_is_left_out_until_somebody_asks_for_it(component: str) -> None:
    # A process of its own: this one has imported everything.
    command = [sys.executable, "-c", CHECK.format(component=component)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr


@components
def test_help_is_told_by_the_module(component: str) -> None:
    command = [sys.executable, "-m", component, "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "HAREBELL_NAMESPACE" in run.stdout
