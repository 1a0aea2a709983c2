"""What the processes that speak to Kubernetes do not import, and do not look for."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from harebell_crds.lean import with_proxy_of_environment

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


@pytest.mark.parametrize(
    ("host", "configured", "taken"),
    [
        ("https://10.0.0.1:443", None, "http://proxy:3128"),
        ("https://10.0.0.1:443", "http://own:3128", "http://own:3128"),
        ("https://kubernetes.default.svc", None, None),
        ("http://10.0.0.1:8080", None, None),
    ],
)
def test_the_proxy_is_taken_from_the_environment_once(
    monkeypatch: pytest.MonkeyPatch, host: str, configured: str | None, taken: str | None
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", ".svc")
    configuration = SimpleNamespace(host=host, proxy=configured, client_session_kwargs=None)
    with_proxy_of_environment(configuration)
    assert configuration.proxy == taken
    assert configuration.client_session_kwargs == {"trust_env": False}
