"""The few calls the API makes to the Kubernetes API server.

They go through the official client's ``ApiClient`` (credentials, TLS, connections) by path, not through its
``CustomObjectsApi``: loading that costs 13 MiB of memory, and it takes no ``aiohttp.ClientTimeout``, so a
watch could not be given a deadline of its own.
"""

import asyncio
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
from harebell_crds.lean import with_proxy_of_environment

from .kube_errors import ApiServerUnreachableError, error_of
from .shallow import read_json

Object = Mapping[str, Any]
"""A resource as the API server sends it."""

MERGE_PATCH = "application/merge-patch+json"
PAGE_SIZE = 200
WATCH_SECONDS = 60
"""How long a watch lasts. Short, so one that is silently dead is replaced within the minute."""
_WATCH_GRACE_SECONDS = 15
_SECRET_GRACE_SECONDS = 2
"""A watch of keys that is silently dead has to be noticed soon: a revocation may be behind it."""
_ANSWER_SECONDS = 15
_CALL = aiohttp.ClientTimeout(total=_ANSWER_SECONDS, sock_connect=5)
_WATCH = aiohttp.ClientTimeout(total=WATCH_SECONDS + _WATCH_GRACE_SECONDS, sock_connect=5)


class Kind(StrEnum):
    """What the API reads, by the plural in the path."""

    TASKS = "tasks"
    AGENTS = "agents"
    ANNOUNCEMENTS = "announcements"


class Store(Protocol):
    """Writes specs, and reads one object that the cache does not have.

    Every method may raise :class:`.kube_errors.ApiServerError` or ``ApiServerUnreachableError``.
    """

    async def create(self, kind: Kind, manifest: Object) -> Object:
        """Create an object and return it."""
        ...

    async def read(self, kind: Kind, name: str) -> Object:
        """Return an object, as it is now."""
        ...

    async def patch(self, kind: Kind, name: str, patch: Object) -> Object:
        """Apply a JSON merge patch to an object and return it."""
        ...

    async def delete(self, kind: Kind, name: str, uid: str) -> None:
        """Delete the object that has this name and UID."""
        ...

    async def current_version(self) -> int:
        """Return the resource version that Tasks are at now: no change so far has a higher one."""
        ...


class Source(Protocol):
    """Lists and watches a kind; raises as :class:`Store` does."""

    def list(self, kind: Kind) -> AsyncGenerator[Object, None]:
        """Yield the list page by page."""
        ...

    def watch(self, kind: Kind, version: str, opened: Callable[[], None]) -> AsyncGenerator[Object, None]:
        """Call ``opened`` when the watch is, then yield its events after ``version`` until it ends."""
        ...


class Secrets(Protocol):
    """Reads and watches one Secret at a time; raises as :class:`Store` does."""

    async def read_secret(self, name: str) -> Object:
        """Return a Secret."""
        ...

    def watch_secret(self, name: str, version: str, seconds: int) -> AsyncGenerator[Object, None]:
        """Yield the events of one Secret after ``version`` for this long."""
        ...


class Reviewer(Protocol):
    """Has the API server say who somebody is and what they may do; raises as :class:`Store` does."""

    async def review(self, group: str, kind: str, spec: Object) -> Object:
        """Return the ``status`` of a review, such as ``TokenReview`` of ``authentication.k8s.io``."""
        ...


class Kube:
    """Calls within one namespace: all of the protocols above."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self._root = f"/apis/{GROUP}/{VERSION}/namespaces/{quote(namespace, safe='')}"
        self._secrets = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"

    async def create(self, kind: Kind, manifest: Object) -> Object:
        """Create an object and return it."""
        return await self._json("POST", self._path(kind), body=manifest)

    async def read(self, kind: Kind, name: str) -> Object:
        """Return an object, as it is now."""
        return await self._json("GET", self._path(kind, name))

    async def patch(self, kind: Kind, name: str, patch: Object) -> Object:
        """Apply a JSON merge patch to an object and return it."""
        return await self._json("PATCH", self._path(kind, name), body=patch, content_type=MERGE_PATCH)

    async def delete(self, kind: Kind, name: str, uid: str) -> None:
        """Delete the object that has this name and UID."""
        await self._json("DELETE", self._path(kind, name), body={"preconditions": {"uid": uid}})

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

    async def read_secret(self, name: str) -> Object:
        """Return a Secret, as it is now."""
        return await self._json("GET", f"{self._secrets}/{quote(name, safe='')}")

    async def watch_secret(self, name: str, version: str, seconds: int) -> AsyncGenerator[Object, None]:
        """Yield the events of one Secret after ``version`` for this long.

        The selector makes it a request for this name: a Role may grant it with ``resourceNames``.
        """
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        timeout = aiohttp.ClientTimeout(total=seconds + _SECRET_GRACE_SECONDS, sock_connect=5)
        async with self._request("GET", self._secrets, query, timeout=timeout) as response:
            while line := await response.content.readline():
                yield _parse(line)

    async def review(self, group: str, kind: str, spec: Object) -> Object:
        """Return the ``status`` of a review, such as ``TokenReview`` of ``authentication.k8s.io``."""
        body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
        answer = await self._json("POST", f"/apis/{group}/v1/{kind.lower()}s", body=body)
        return answer.get("status") or {}

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
        answer: dict[str, Any] = read_json(text)
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
    with_proxy_of_environment(configuration)
    async with ApiClient(configuration) as client:
        client.user_agent = "harebell-api"
        yield client
