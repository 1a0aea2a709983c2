"""The feed against the real API server: an API is killed while changes go on, and what clients know then."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from tests.support.api import AUTH, Api, running
from tests.support.feed import Model
from tests.support.kubectl import Kubectl
from tests.support.release import manifest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

pytestmark = pytest.mark.timeout(240, func_only=True)  # bringing up a cluster takes longer

NAMES = [f"feed-{n}" for n in range(6)]
PHASES = ("Queued", "Running", "Succeeded", "Failed")
LABELS = {"suite": "feed"}


@pytest.fixture(scope="module")
def other(kubeconfig: Path, namespace: str, key_folder: Path) -> Iterator[Api]:
    """Another API, which watches beside the first."""
    with running(kubeconfig, namespace, key_folder) as api:
        yield api


def _manifest(name: str) -> dict[str, Any]:
    made = manifest(name, "nobody")
    return {**made, "metadata": {**made["metadata"], "labels": LABELS}}


class Changes(threading.Thread):
    """Makes, changes and deletes Tasks until told to end; each round is a few changes."""

    def __init__(self, kubectl: Kubectl) -> None:
        super().__init__(daemon=True)
        self._kubectl, self._ending = kubectl, threading.Event()
        self.rounds = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for name, phase in zip(cycle(NAMES), cycle(PHASES), strict=False):
                if self._ending.is_set():
                    return
                self._kubectl.apply(*(_manifest(n) for n in NAMES))
                status = json.dumps({"status": {"phase": phase}})
                self._kubectl("patch", "task", name, "--subresource=status", "--type=merge", "-p", status)
                if self.rounds % 2:
                    self._kubectl("delete", "task", name)
                self.rounds += 1
        except Exception as error:  # noqa: BLE001 - told to the test
            self.failure = error

    def end(self) -> None:
        self._ending.set()
        self.join()
        assert self.failure is None, self.failure


@asynccontextmanager
async def changes(kubectl: Kubectl) -> AsyncIterator[Changes]:
    going_on = Changes(kubectl)
    going_on.start()
    try:
        yield going_on
    finally:
        await asyncio.to_thread(going_on.end)


def _socket(api: Api, model: Model, **query: str) -> connect:
    given = {**query, **({"cursor": model.cursor} if model.cursor else {})}
    return connect(f"{api.ws}?{urlencode(given)}", additional_headers=AUTH, proxy=None)


async def _truth(kubectl: Kubectl, phases: tuple[str, ...] = ()) -> dict[str, int]:
    items = await asyncio.to_thread(kubectl.items, "tasks", "-l", "suite=feed")
    return {
        t["metadata"]["uid"]: int(t["metadata"]["resourceVersion"])
        for t in items
        if not phases or t.get("status", {}).get("phase", "Pending") in phases
    }


async def _read_on(socket: ClientConnection, model: Model) -> None:
    async for text in socket:
        model.take(json.loads(text))


async def _follow_until(socket: ClientConnection, model: Model, truth: dict[str, int]) -> None:
    """Read until the client knows what is true."""
    async with asyncio.timeout(60):
        while model.known != truth:
            model.take(json.loads(await socket.recv()))


@pytest.mark.parametrize("query", [{"label_selector": "suite=feed"}, {"phase": "running"}, {}])
async def test_an_api_is_killed_and_the_client_goes_on_at_another(
    kubeconfig: Path, namespace: str, key_folder: Path, kubectl: Kubectl, other: Api, query: dict[str, str]
) -> None:
    model = Model()
    async with changes(kubectl) as going_on:
        starting = running(kubeconfig, namespace, key_folder)
        api = await asyncio.to_thread(starting.__enter__)
        try:
            async with _socket(api, model, **query) as socket:
                while model.types.count("update") + model.types.count("left") < 5:
                    model.take(json.loads(await socket.recv()))
                api.process.kill()
                with pytest.raises(ConnectionClosedError):
                    await _read_on(socket, model)
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)
        rounds = going_on.rounds
        model.come_back()
        async with _socket(other, model, **query) as socket:
            async with asyncio.timeout(60):
                while going_on.rounds < rounds + 4:
                    model.take(json.loads(await socket.recv()))
            await asyncio.to_thread(going_on.end)
            truth = await _truth(kubectl, ("Running",) if "phase" in query else ())
            assert query or truth
            await _follow_until(socket, model, truth)
    assert "reset" not in model.types
    assert {"update", "synced"} <= set(model.types)


async def test_deletions_before_all_apis_restarted_lead_to_a_new_snapshot(
    kubeconfig: Path, namespace: str, key_folder: Path, kubectl: Kubectl
) -> None:
    """There is no archive here: nobody can tell what was deleted, and the client is told so."""
    model = Model()
    await asyncio.to_thread(kubectl.apply, *(_manifest(n) for n in NAMES))
    for restarted in (False, True):
        starting = running(kubeconfig, namespace, key_folder)
        api = await asyncio.to_thread(starting.__enter__)
        try:
            async with _socket(api, model, label_selector="suite=feed") as socket:
                await _follow_until(socket, model, await _truth(kubectl))
                while model.types[-1] != "synced":
                    model.take(json.loads(await socket.recv()))
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)
        assert ("reset" in model.types) is restarted
        if not restarted:
            await asyncio.to_thread(kubectl, "delete", "task", NAMES[0])
            model.come_back()


class Events:
    """Reads server-sent events."""

    def __init__(self, api: Api, query: str, cursor: str | None = None) -> None:
        headers = {"Last-Event-ID": cursor} if cursor else {}
        self._stream = api.http.stream("GET", f"/api/v1/events?{query}", headers=headers)

    def __enter__(self) -> "Events":
        self.answer: httpx2.Response = self._stream.__enter__()
        assert self.answer.status_code == 200
        self._lines = self.answer.iter_lines()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.__exit__(None, None, None)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the type and data of each event, and ``comment`` with nothing for each comment."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                yield "comment", {}
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            else:
                if "data" in fields:
                    data = json.loads(fields["data"])
                    assert fields.get("id") == data.get("cursor")
                    yield fields["event"], data
                fields = {}


def test_events_and_going_on_with_them(api: Api, other: Api, kubectl: Kubectl) -> None:
    kubectl.apply(*(_manifest(n) for n in NAMES))
    model = Model()
    with Events(api, "label_selector=suite%3Dfeed") as events:
        for kind, message in events:
            model.take(message)
            if kind == "synced":
                break
    kubectl("delete", "task", NAMES[0])
    kubectl("label", "task", NAMES[1], "suite=another", "--overwrite")
    told = len(model.types)
    model.come_back()
    with Events(other, "label_selector=suite%3Dfeed", model.cursor) as events:
        for _, message in events:
            model.take(message)
            if {"deleted", "left"} <= set(model.types[told:]):
                break
    items = kubectl.items("tasks", "-l", "suite=feed")
    assert set(model.known) == {t["metadata"]["uid"] for t in items}
    assert "snapshot" not in model.types[told:]


def test_the_events_of_one_task_end_with_it(api: Api, kubectl: Kubectl) -> None:
    kubectl.apply(_manifest("feed-one"))
    kinds = []
    with Events(api, "task_id=feed-one") as events:
        for kind, message in events:
            kinds.append(kind)
            cursor = message["cursor"]
            if kind == "snapshot":
                status = json.dumps({"status": {"phase": "Succeeded"}})
                kubectl("patch", "task", "feed-one", "--subresource=status", "--type=merge", "-p", status)
    assert kinds == ["snapshot", "update"]
    again = api.http.get("/api/v1/events?task_id=feed-one", headers={"Last-Event-ID": cursor})
    assert again.status_code == 204


class Idle:
    """A way to the API that cuts connections on which nothing was said for a while, as proxies do."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port, self._seconds = port, seconds
        self.cut = 0

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        said = asyncio.Event()

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                said.set()
                sink.write(data)

        async def watch() -> None:
            while True:
                said.clear()
                async with asyncio.timeout(self._seconds):
                    await said.wait()

        ways = [asyncio.ensure_future(way) for way in (copy(reader, back), copy(there, writer), watch())]
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        self.cut += ways[2] in done
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for end in (writer, back):
            end.transport.abort()


@pytest.mark.parametrize(("ping_seconds", "survives"), [("1", True), ("50", False)])
async def test_idle_streams_survive_proxies_by_signs_of_life(
    kubeconfig: Path, namespace: str, key_folder: Path, kubectl: Kubectl, ping_seconds: str, survives: bool
) -> None:
    await asyncio.to_thread(kubectl.apply, _manifest("feed-idle"))
    starting = running(kubeconfig, namespace, key_folder, HAREBELL_PING_SECONDS=ping_seconds)
    api = await asyncio.to_thread(starting.__enter__)
    proxy = Idle(api.port, seconds=3)
    server = await asyncio.start_server(proxy.forward, "127.0.0.1", 0)
    through = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    ws = f"{through.replace('http', 'ws')}/api/v1/ws/feed-idle"
    # A client that pings would keep the connection alive by itself.
    socket = await connect(ws, additional_headers=AUTH, proxy=None, ping_interval=None)
    client = httpx2.AsyncClient(headers=AUTH, timeout=30, trust_env=False)
    try:
        await socket.recv()
        async with client.stream("GET", f"{through}/api/v1/events") as answer:
            lines = answer.aiter_lines()
            if survives:
                comments = 0
                async with asyncio.timeout(30):
                    while comments < 7:  # at one a second, so for longer than the proxy waits
                        comments += (await anext(lines)).startswith(":")
                assert proxy.cut == 0
            else:
                with pytest.raises(httpx2.TransportError):
                    await _to_the_end(lines)
        if survives:
            status = json.dumps({"status": {"phase": "Running"}})
            await asyncio.to_thread(
                kubectl, "patch", "task", "feed-idle", "--subresource=status", "--type=merge", "-p", status
            )
            assert json.loads(await socket.recv())["task"]["phase"] == "Running"
            assert proxy.cut == 0
        else:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert proxy.cut == 2
    finally:
        await client.aclose()
        await socket.close()
        server.close()
        await asyncio.to_thread(starting.__exit__, None, None, None)


async def _to_the_end(lines: AsyncIterator[str]) -> None:
    async for _ in lines:
        pass


async def test_event_streams_do_not_hold_up_a_restart(
    kubeconfig: Path, namespace: str, key_folder: Path
) -> None:
    starting = running(kubeconfig, namespace, key_folder)
    api = await asyncio.to_thread(starting.__enter__)
    client = httpx2.AsyncClient(headers=AUTH, timeout=30, trust_env=False)
    try:
        async with client.stream("GET", f"{api.http.base_url}/api/v1/events") as answer:
            text = ""
            async for piece in answer.aiter_text():
                text += piece
                if "event: synced" in text and api.process.poll() is None:
                    api.process.terminate()
        assert '"code":1012' in text
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(api.process.wait) == 0
    finally:
        await client.aclose()
        await asyncio.to_thread(starting.__exit__, None, None, None)


async def test_wrong_cursors_are_refused_at_the_handshake(api: Api) -> None:
    for query in ("cursor=abc", "task_id=t&cursor=abc"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{api.ws}?{query}", additional_headers=AUTH, proxy=None)
        assert refused.value.response.status_code == 400
        assert b"invalid-cursor" in (refused.value.response.body or b"")
