"""The few calls the API makes to the Kubernetes API server.

They go through the official client's ``ApiClient`` (credentials, TLS, connections) by path, not through its
``CustomObjectsApi``: loading that costs 13 MiB of memory, and it takes no ``aiohttp.ClientTimeout``, so a
watch could not be given a deadline of its own.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from harebell_crds import GROUP, VERSION

from .kube_errors import ApiServerUnreachableError, error_of

Object = Mapping[str, Any]
"""A resource as the API server sends it."""

MERGE_PATCH = "application/merge-patch+json"
PAGE_SIZE = 200
WATCH_SECONDS = 60
"""How long a watch lasts. Short, so one that is silently dead is replaced within the minute."""
_WATCH_GRACE_SECONDS = 15
_ANSWER_SECONDS = 15
_CALL = aiohttp.ClientTimeout(total=_ANSWER_SECONDS, sock_connect=5)
_WATCH = aiohttp.ClientTimeout(total=WATCH_SECONDS + _WATCH_GRACE_SECONDS, sock_connect=5)


class Kind(StrEnum):
    """What the API reads, by the plural in the path."""

    TASKS = "tasks"
    AGENTS = "agents"


class TaskStore(Protocol):
    """Writes Task specs, and reads one Task that the cache does not have.

    Every method may raise :class:`.kube_errors.ApiServerError` or ``ApiServerUnreachableError``.
    """

    async def create_task(self, manifest: Object) -> Object:
        """Create a Task and return it."""
        ...

    async def read_task(self, name: str) -> Object:
        """Return a Task."""
        ...

    async def patch_task(self, name: str, patch: Object) -> Object:
        """Apply a JSON merge patch to a Task and return it."""
        ...

    async def current_version(self) -> int:
        """Return the resource version that Tasks are at now: no change so far has a higher one."""
        ...


class Source(Protocol):
    """Lists and watches a kind; raises as :class:`TaskStore` does."""

    def list(self, kind: Kind) -> AsyncGenerator[Object, None]:
        """Yield the list page by page."""
        ...

    def watch(self, kind: Kind, version: str, opened: Callable[[], None]) -> AsyncGenerator[Object, None]:
        """Call ``opened`` when the watch is, then yield its events after ``version`` until it ends."""
        ...


class Kube:
    """Calls within one namespace: a :class:`TaskStore` and a :class:`Source`."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self._root = f"/apis/{GROUP}/{VERSION}/namespaces/{quote(namespace, safe='')}"

    async def create_task(self, manifest: Object) -> Object:
        """Create a Task and return it."""
        return await self._json("POST", self._path(Kind.TASKS), body=manifest)

    async def read_task(self, name: str) -> Object:
        """Return a Task, as it is now."""
        return await self._json("GET", self._path(Kind.TASKS, name))

    async def patch_task(self, name: str, patch: Object) -> Object:
        """Apply a JSON merge patch to a Task and return it."""
        return await self._json("PATCH", self._path(Kind.TASKS, name), body=patch, content_type=MERGE_PATCH)

    async def current_version(self) -> int:
        """Return the resource version that Tasks are at now."""
        # Without a version the answer is as of now, not of some cache's state (Kubernetes API concepts).
        page = await self._json("GET", self._path(Kind.TASKS), {"limit": "1"})
        return int(page["metadata"]["resourceVersion"])

    async def list(self, kind: Kind) -> AsyncGenerator[Object, None]:
        """Yield the list page by page, so that it is never in memory as a whole."""
        token = ""
        while True:
            query = {"limit": str(PAGE_SIZE), **({"continue": token} if token else {})}
            page = await self._json("GET", self._path(kind), query)
            yield page
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def watch(
        self, kind: Kind, version: str, opened: Callable[[], None]
    ) -> AsyncGenerator[Object, None]:
        """Call ``opened`` when the watch is, then yield its events after ``version``, also bookmarks."""
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with self._request("GET", self._path(kind), query, timeout=_WATCH) as response:
            opened()
            while line := await response.content.readline():
                yield _parse(line)

    def _path(self, kind: Kind, name: str = "") -> str:
        return f"{self._root}/{kind}" + (f"/{quote(name, safe='')}" if name else "")

    async def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        async with self._request(method, path, query, body, content_type) as response:
            return _parse(await response.read())

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout = _CALL,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield its successful response; every failure comes as our own error."""
        try:
            verb, url, headers, payload, _ = await self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            async with asyncio.timeout(_ANSWER_SECONDS):  # a watch too is answered at once
                wrapped = await self._client.call_api(verb, url, headers, payload, _request_timeout=timeout)
            response: aiohttp.ClientResponse = wrapped.response
            async with response:
                if response.status >= 300:
                    raise error_of(response.status, await response.read(), response.headers)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiServerUnreachableError(f"{type(error).__name__}: {error}") from error


def _parse(text: bytes) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError as error:  # cut off in the middle, or a proxy spoke
        raise ApiServerUnreachableError(f"not JSON: {text[:200]!r}") from error
    return answer


@asynccontextmanager
async def connect() -> AsyncIterator[ApiClient]:
    """Yield a client for the cluster this runs in, or else the one KUBECONFIG names."""
    configuration = Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    async with ApiClient(configuration) as client:
        client.user_agent = "harebell-api"
        yield client
