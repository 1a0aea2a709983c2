"""What the API does while the API server cannot be reached."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.support.api import AUTH, Api, running
from tests.support.gate import Gate, gate_before
from tests.support.kubectl import Kubectl
from websockets.asyncio.client import connect

from harebell_crds import API_VERSION

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer


async def test_it_goes_on_when_the_api_server_is_back(
    kubeconfig: Path, namespace: str, key_folder: Path, kubectl: Kubectl, tmp_path: Path
) -> None:
    async with gate_before(kubeconfig, tmp_path) as (gate, through):
        starting = running(through, namespace, key_folder)
        api = await asyncio.to_thread(starting.__enter__)
        try:
            await _survive(api, gate, kubectl)
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)


async def _survive(api: Api, gate: Gate, kubectl: Kubectl) -> None:
    body = {"agentType": "text", "action": "echo", "name": "before"}
    made = await asyncio.to_thread(api.http.post, "/api/v1/dispatch", json=body)
    assert made.status_code == 202
    async with connect(f"{api.ws}/before", additional_headers=AUTH, proxy=None) as socket:
        await socket.recv()
        gate.shut()
        # What is known is still served; what needs the API server says so.
        assert (await asyncio.to_thread(api.http.get, "/api/v1/status/before")).status_code == 200
        refused = await asyncio.to_thread(api.http.post, "/api/v1/dispatch", json={**body, "name": "during"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        manifest = {
            "apiVersion": API_VERSION,
            "kind": "Task",
            "metadata": {"name": "meanwhile"},
            "spec": {"agentType": "text", "action": "echo"},
        }
        await asyncio.to_thread(kubectl.apply, manifest)
        status = json.dumps({"status": {"phase": "Running"}})
        await asyncio.to_thread(
            kubectl, "patch", "task", "before", "--subresource=status", "--type=merge", "-p", status
        )
        gate.open()
        assert json.loads(await socket.recv())["task"]["phase"] == "Running"
    names = [
        item["name"] for item in (await asyncio.to_thread(api.http.get, "/api/v1/tasks")).json()["items"]
    ]
    assert {"before", "meanwhile"} <= set(names)
    assert (await asyncio.to_thread(api.http.get, "/readyz")).status_code == 200
    metrics = (await asyncio.to_thread(api.http.get, "/metrics")).text
    assert 'harebell_api_watch_restarts_total{kind="tasks",reason="unreachable"}' in metrics
