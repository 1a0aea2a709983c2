"""The API server, by a client with nothing around it: no models, no retries, no limit on requests."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from kubernetes.aio import client, config
from tests.support.waiting import eventually

T = TypeVar("T")
STALL_SECONDS = 120.0
"""So long nothing more may be seen done before a measurement fails."""
GONE_SECONDS = 300.0


@dataclass(frozen=True)
class Seen:
    """An object that a watch showed done."""

    at: float
    """Unix time in seconds."""
    body: dict[str, Any]


@dataclass(frozen=True)
class Server:
    """Calls with paths, such as ``/api/v1/namespaces/default/pods``."""

    session: aiohttp.ClientSession

    async def get(self, path: str) -> dict[str, Any]:
        """Return an object or a list."""
        async with self.session.get(path) as answer:
            return dict(await _checked(answer))

    async def create(self, path: str, body: Mapping[str, Any]) -> None:
        """Create an object."""
        async with self.session.post(path, json=body) as answer:
            await _checked(answer)

    async def patch(self, path: str, operations: Sequence[Mapping[str, Any]]) -> None:
        """Apply a JSON patch (RFC 6902)."""
        headers = {"Content-Type": "application/json-patch+json"}
        async with self.session.patch(path, data=json.dumps(operations), headers=headers) as answer:
            await _checked(answer)

    async def clear(self, path: str) -> None:
        """Delete every object of a collection, and wait until they are gone."""
        async with self.session.delete(path, json={"propagationPolicy": "Background"}) as answer:
            await _checked(answer)

        async def gone() -> bool:
            return not (await self.get(f"{path}?limit=1"))["items"]

        await eventually(f"{path} to be empty", gone, GONE_SECONDS)

    async def watch(self, path: str, version: str) -> AsyncIterator[dict[str, Any]]:
        """Yield what happens to a collection from a version on, until the server ends that."""
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "3600"}
        limit = aiohttp.ClientTimeout(total=None)
        async with self.session.get(path, params=query, timeout=limit) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                yield json.loads(line)

    async def version(self, path: str) -> str:
        """Return the resource version to watch a collection from."""
        return str((await self.get(f"{path}?limit=1"))["metadata"]["resourceVersion"])


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Server]:
    """Yield a client for the cluster of a kubeconfig."""
    found = client.Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=str(kubeconfig), client_configuration=found
    )
    trust = ssl.create_default_context(cafile=found.ssl_ca_cert)
    if found.cert_file:
        trust.load_cert_chain(found.cert_file, found.key_file)
    headers = {"Authorization": token} if (token := found.api_key.get("BearerToken")) else {}
    async with aiohttp.ClientSession(
        base_url=found.host,
        headers=headers,
        connector=aiohttp.TCPConnector(ssl=trust, limit=0),
        # A line of a watch holds a whole object.
        read_bufsize=1 << 21,
    ) as session:
        yield Server(session)


async def each(items: Iterable[T], at_once: int, act: Callable[[T], Awaitable[None]]) -> None:
    """Do something with every item, with so many at a time."""
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            await act(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())


class Watched:
    """Creates objects, and sees by a watch how they become done."""

    def __init__(self, server: Server, path: str, done: Callable[[dict[str, Any]], bool]) -> None:
        """``done`` is told every object that changed; it raises where one can no longer become done."""
        self._server, self._path, self._done = server, path, done
        self.sent: dict[str, float] = {}
        """When the creation of each was sent, in Unix time, by name."""
        self.seen: dict[str, Seen] = {}
        self.changes = 0
        """Events of the watch other than creations: writes that were made to the objects."""

    async def run(
        self, bodies: Sequence[Mapping[str, Any]], at_once: int, told: Callable[[int], None]
    ) -> float:
        """Create the objects and wait until all are done; return the seconds that took.

        ``told`` hears how many are done. :raises TimeoutError: nothing happened for a long time.
        """
        version = await self._server.version(self._path)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(version, len(bodies), told))
            await each(bodies, at_once, self._create)
        return max(seen.at for seen in self.seen.values()) - min(self.sent.values())

    async def _create(self, body: Mapping[str, Any]) -> None:
        self.sent[body["metadata"]["name"]] = time.time()
        await self._server.create(self._path, body)

    async def _watch(self, version: str, count: int, told: Callable[[int], None]) -> None:
        clock = asyncio.get_running_loop().time
        async with asyncio.timeout(STALL_SECONDS) as limit:
            async for event in self._server.watch(self._path, version):
                if event["type"] not in ("ADDED", "MODIFIED"):
                    raise RuntimeError(f"unexpected while {self._path} is watched: {event}")
                self.changes += event["type"] == "MODIFIED"
                name = event["object"]["metadata"]["name"]
                if name not in self.seen and self._done(event["object"]):
                    self.seen[name] = Seen(time.time(), event["object"])
                    told(len(self.seen))
                    limit.reschedule(clock() + STALL_SECONDS)
                    if len(self.seen) == count:
                        return
        raise RuntimeError(f"the watch of {self._path} ended")


async def _checked(answer: aiohttp.ClientResponse) -> Any:
    """Return the body. :raises RuntimeError: the server refused."""
    if answer.status >= 400:
        raise RuntimeError(f"{answer.method} {answer.url.path}: {answer.status} {await answer.text()}")
    return json.loads(await answer.read())
