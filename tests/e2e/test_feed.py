"""The live feed through the ingress: of what is dispatched, through silence, and while the API is killed."""

import asyncio
import json
from http.client import HTTPResponse
from typing import Any
from urllib.request import urlopen

import pytest
from tests.support.feed import Model
from tests.support.kubectl import Kubectl
from tests.support.release import Release
from tests.support.waiting import eventually
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

SILENCE_SECONDS = 70
"""Longer than the minute after which ingress controllers usually cut a silent connection."""


def _dispatch(release: Release, suite: str, action: str, **payload: Any) -> str:
    body = {"agentType": "text", "action": action, "payload": payload, "labels": {"suite": suite}}
    answer = release.rest("POST", "/api/v1/dispatch", body)
    assert answer.status == 202, answer.body
    return str(answer.body["taskId"])


async def test_what_is_dispatched_is_followed_to_its_result(release: Release) -> None:
    model = Model()
    async with release.feed(label_selector="suite=feed-result") as socket:
        model.take(json.loads(await socket.recv()))
        assert model.types == ["synced"]
        await asyncio.to_thread(_dispatch, release, "feed-result", "echo", said=[1, None])
        async with asyncio.timeout(60):
            while True:
                message = json.loads(await socket.recv())
                model.take(message)
                if message["task"]["phase"] == "Succeeded":
                    break
    assert message["task"]["result"] == {"said": [1, None]}


@pytest.mark.timeout(180)
async def test_silence_is_survived(release: Release) -> None:
    model = Model()
    async with release.feed(label_selector="suite=feed-silence") as socket:
        assert json.loads(await socket.recv())["type"] == "synced"
        request = release.events(label_selector="suite=feed-silence")
        answer: HTTPResponse = await asyncio.to_thread(urlopen, request, timeout=SILENCE_SECONDS)
        with answer:
            # What comes is not about Tasks, so the silence ends when it has lasted long enough.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(_read_on(socket, model), SILENCE_SECONDS)
            assert set(model.types) <= {"synced"}
            await asyncio.to_thread(_dispatch, release, "feed-silence", "echo", said="anything")
            async with asyncio.timeout(60):
                assert json.loads(await socket.recv())["type"] == "update"
            comments = 0
            while not (line := await asyncio.to_thread(answer.readline)).startswith(b"event: update"):
                assert line, "the event stream was cut"
                comments += line.startswith(b":")
            assert comments >= SILENCE_SECONDS // 20


@pytest.mark.timeout(300)
async def test_the_api_is_killed_and_nothing_is_missed(release: Release, kubectl: Kubectl) -> None:
    model, suite = Model(), {"label_selector": "suite=feed-killed"}
    first = await asyncio.to_thread(_dispatch, release, "feed-killed", "sleep", seconds=5)
    async with release.feed(**suite) as socket:
        async with asyncio.timeout(60):
            while "synced" not in model.types:
                model.take(json.loads(await socket.recv()))
        # The API is a container of the operator's Pod.
        pod = (await asyncio.to_thread(release.pods, "operator"))[0]
        await asyncio.to_thread(kubectl, "delete", "pod", pod, "--grace-period=0", "--force")
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(_read_on(socket, model), 60)
    second = await eventually("a dispatch while nobody follows", lambda: _dispatched(release), 120)

    async def all_told() -> bool:
        model.come_back()
        try:
            async with release.feed(**suite, cursor=model.cursor or "") as socket, asyncio.timeout(60):
                while model.known != await _truth(kubectl):
                    model.take(json.loads(await socket.recv()))
                return True
        except (InvalidHandshake, ConnectionClosed, OSError):
            return False  # the ingress still sends to the Pod that is gone

    for name in (first, second):
        await asyncio.to_thread(release.finished, name, 120)
    await eventually("the client to know what is true", all_told, 120)


async def _read_on(socket: ClientConnection, model: Model) -> None:
    while True:
        model.take(json.loads(await socket.recv()))


async def _dispatched(release: Release) -> str | None:
    try:
        return await asyncio.to_thread(_dispatch, release, "feed-killed", "echo", said="meanwhile")
    except (AssertionError, OSError):
        return None


async def _truth(kubectl: Kubectl) -> dict[str, int]:
    items = await asyncio.to_thread(kubectl.items, "tasks", "-l", "suite=feed-killed")
    return {t["metadata"]["uid"]: int(t["metadata"]["resourceVersion"]) for t in items}
