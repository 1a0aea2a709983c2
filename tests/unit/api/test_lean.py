"""What the process does not import."""

import subprocess
import sys

CHECK = """
import sys
from harebell_api.lean import without_synchronous_client
without_synchronous_client()
import harebell_api.main
assert "kubernetes.aio.client" in sys.modules
print(*sorted(sys.modules.keys() & {"kubernetes.client", "requests", "requests_oauthlib"}))
from kubernetes import client
client.CoreV1Api
"""


def test_the_synchronous_client_is_left_out_until_somebody_asks_for_it() -> None:
    # A process of its own: this one has imported everything.
    run = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr


def test_help_is_told_by_the_module() -> None:
    command = [sys.executable, "-m", "harebell_api", "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "HAREBELL_NAMESPACE" in run.stdout
