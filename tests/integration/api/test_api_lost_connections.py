"""What the API does while the API server cannot be reached."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from tests.support.kubectl import Kubectl
from websockets.asyncio.client import connect

from harebell_crds import API_VERSION

from .conftest import AUTH, Api, running

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer


class Gate:
    """Forwards TCP connections while it is open; shutting it cuts them all."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port, self._open = host, port, True
        self._writers: set[asyncio.StreamWriter] = set()

    def shut(self) -> None:
        """Cut every connection, and let none through."""
        self._open = False
        for writer in self._writers:
            writer.transport.abort()

    def open(self) -> None:
        """Let connections through again."""
        self._open = True

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if not self._open:
            writer.transport.abort()
            return
        onward = await asyncio.open_connection(self._host, self._port)
        ends = {writer, onward[1]}
        self._writers |= ends
        try:
            await asyncio.wait(
                {
                    asyncio.ensure_future(_copy(reader, onward[1])),
                    asyncio.ensure_future(_copy(onward[0], writer)),
                },
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def gate_before(kubeconfig: Path, folder: Path) -> AsyncIterator[tuple[Gate, Path]]:
    """Yield a gate before the API server, and a kubeconfig that leads through it."""
    config = yaml.safe_load(await asyncio.to_thread(kubeconfig.read_text))
    cluster = config["clusters"][0]["cluster"]
    address = urlsplit(cluster["server"])
    gate = Gate(address.hostname or "", address.port or 443)
    server = await asyncio.start_server(gate.forward, "127.0.0.1", 0)
    cluster["server"] = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    cluster["tls-server-name"] = address.hostname
    through = folder / "kubeconfig"
    await asyncio.to_thread(through.write_text, yaml.safe_dump(config))
    try:
        yield gate, through
    finally:
        gate.shut()
        server.close()


async def test_it_goes_on_when_the_api_server_is_back(
    kubeconfig: Path, namespace: str, key_file: Path, kubectl: Kubectl, tmp_path: Path
) -> None:
    async with gate_before(kubeconfig, tmp_path) as (gate, through):
        starting = running(through, namespace, key_file)
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
