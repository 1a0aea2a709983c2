"""Requests to the API server, and its refusals as errors of our own.

The client library connects and shows who asks. Its typed calls are left alone: those for Pods would bring
24 MiB of models, and take half of the time that the operator needs to start.
"""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from harebell_crds.lean import with_proxy_of_environment

TIMEOUT_SECONDS = 15.0
PAGE = 50
"""Objects in one answer to a list. A Task may have 600 KiB, and an answer is in memory three times while it
is read: as it came, as text and as objects."""


class KubeError(Exception):
    """The API server did not do what was asked; the message says why. Worth trying again later."""


class NoAnswerError(KubeError):
    """The API server could not be reached, or did not answer in time."""


class NotFoundError(KubeError):
    """The object is gone, or another one has taken its name."""


class AlreadyExistsError(KubeError):
    """An object of that name exists."""


class RefusedError(KubeError):
    """The API server found the request wrong; the same request will not succeed later."""


class ApiServer:
    """Sends requests, each of which ends within :data:`TIMEOUT_SECONDS`."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Send a request and return the JSON object of its answer.

        :raises NotFoundError: 404.
        :raises AlreadyExistsError: 409.
        :raises RefusedError: another refusal for good.
        :raises NoAnswerError: there was none.
        :raises KubeError: it may be asked again.
        """
        verb, url, headers, payload, _ = await self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            wrapped = await self._api.call_api(verb, url, headers, payload, _request_timeout=TIMEOUT_SECONDS)
            answer: aiohttp.ClientResponse = wrapped.response
            async with answer:
                text = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error
        if answer.status >= 300:
            raise refusal(answer.status, answer.reason or "", text)
        try:
            found: dict[str, Any] = json.loads(text)
        except ValueError as error:  # a proxy spoke
            raise KubeError(f"not JSON: {text[:200]!r}") from error
        return found

    async def pages(self, path: str, **query: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the items of a list, page by page. :raises KubeError: it cannot be read now."""
        token: str | None = None
        while True:
            asked: dict[str, str | int] = {**query, "limit": PAGE, **({"continue": token} if token else {})}
            page = await self.request("GET", path, asked)
            token = page["metadata"].get("continue")
            yield page.pop("items")
            if not token:
                return


def refusal(status: int, reason: str, body: bytes) -> KubeError:
    """Return the error for an answer of the API server's that is none of success."""
    text = f"{status} {reason}: {_message(body)}"
    match status:
        case 404:
            return NotFoundError(text)
        case 409:
            return AlreadyExistsError(text)
        case 400 | 403 | 413 | 422:
            return RefusedError(text)
        case _:
            return KubeError(text)


def _message(body: bytes) -> str:
    """Return what the API server's Status says, or the beginning of whatever else came back."""
    try:
        return str(json.loads(body)["message"])[:1000]
    except (ValueError, TypeError, KeyError):
        return body.decode(errors="replace")[:500]


@asynccontextmanager
async def api_client() -> AsyncIterator[client.ApiClient]:
    """Yield a client for the cluster this runs in, or the one KUBECONFIG names."""
    configuration = client.Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    with_proxy_of_environment(configuration)
    async with client.ApiClient(configuration) as api:
        yield api
