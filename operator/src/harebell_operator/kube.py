"""The few calls the operator makes to the API server, besides watching."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, assert_never
from uuid import uuid4

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from harebell_bus.envelopes import PodRef
from harebell_crds import API_VERSION, GROUP, VERSION

from .decide.observation import EventNote
from .decide.pod import POOL_LABEL, TYPE_LABEL
from .store import AgentEntry, PoolEntry, TaskEntry

T = TypeVar("T")
TIMEOUT_SECONDS = 15.0
PAGE = 500
COMPONENT = "harebell-operator"
_MANAGED_BY = "app.kubernetes.io/managed-by"


def version(body: Any) -> int:
    """Return an object's resource version, a number that grows; 0 where it is none."""
    found = str(body["metadata"].get("resourceVersion", ""))
    return int(found) if found.isdecimal() else 0


def agent_labels(agent_type: str) -> dict[str, str]:
    """Return the labels of an Agent that the operator creates."""
    return {_MANAGED_BY: COMPONENT, "harebell.dev/agent-type": agent_type}


def made_here(labels: Mapping[str, str]) -> bool:
    """Return whether an object with these labels was created by the operator."""
    return labels.get(_MANAGED_BY) == COMPONENT


class KubeError(Exception):
    """The API server did not do what was asked; the message says why. Worth trying again later."""


class NotFoundError(KubeError):
    """The object is gone, or another one has taken its name."""


class AlreadyExistsError(KubeError):
    """An object of that name exists."""


class RefusedError(KubeError):
    """The API server found the request wrong; the same request will not succeed later."""


@dataclass(frozen=True)
class Reference:
    """An object that an Event is about."""

    kind: str
    name: str
    uid: str


class Kube:
    """Calls within one namespace."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._api = api
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self.namespace = namespace
        self.newest: dict[str, int] = {}
        """The newest version of an object of each kind, by plural, that the API server has told."""

    async def list_all(self, plural: str) -> list[dict[str, Any]]:
        """Return every object of a kind, read page by page. :raises KubeError: it cannot be read now."""
        items: list[dict[str, Any]] = []
        token: str | None = None
        while True:
            page: Any = await _call(
                self._objects.list_namespaced_custom_object(
                    GROUP,
                    VERSION,
                    self.namespace,
                    plural,
                    limit=PAGE,
                    _continue=token,
                    _request_timeout=TIMEOUT_SECONDS,
                )
            )
            items += page["items"]
            self._told(plural, page["items"])
            token = page["metadata"].get("continue")
            if not token:
                return items

    async def get(self, plural: str, name: str) -> dict[str, Any]:
        """Return one object. :raises NotFoundError: there is none."""
        found: Any = await _call(
            self._objects.get_namespaced_custom_object(
                GROUP, VERSION, self.namespace, plural, name, _request_timeout=TIMEOUT_SECONDS
            )
        )
        return dict(found)

    async def write_status(self, plural: str, name: str, uid: str | None, status: dict[str, Any]) -> None:
        """Replace an object's status as a whole.

        A JSON patch (RFC 6902), because a merge patch cannot store the nulls that a result may hold; with
        ``uid``, its first operation refuses a new object that took the name.

        :raises NotFoundError: the object with this UID is gone.
        :raises RefusedError: the status itself was refused.
        """
        patch: list[dict[str, Any]] = [{"op": "add", "path": "/status", "value": status}]
        if uid is not None:
            patch.insert(0, {"op": "test", "path": "/metadata/uid", "value": uid})
        try:
            written = await _call(
                self._objects.patch_namespaced_custom_object_status(
                    GROUP,
                    VERSION,
                    self.namespace,
                    plural,
                    name,
                    patch,
                    _content_type="application/json-patch+json",
                    _request_timeout=TIMEOUT_SECONDS,
                )
            )
            self._told(plural, [written])
        except RefusedError:
            if uid is not None and (await self.get(plural, name))["metadata"]["uid"] != uid:
                raise NotFoundError(f"{name} was replaced by another object") from None
            raise

    async def delete(self, plural: str, name: str, uid: str) -> None:
        """Delete the object with this UID. :raises NotFoundError: it is gone already."""
        options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=uid))
        try:
            await _call(
                self._objects.delete_namespaced_custom_object(
                    GROUP,
                    VERSION,
                    self.namespace,
                    plural,
                    name,
                    body=options,
                    _request_timeout=TIMEOUT_SECONDS,
                )
            )
        except AlreadyExistsError as error:  # 409: another UID has the name
            raise NotFoundError(str(error)) from error

    async def create(self, plural: str, kind: str, name: str) -> dict[str, Any]:
        """Create an object of a kind whose spec says nothing. :raises AlreadyExistsError: there is one."""
        metadata = {"name": name, "labels": {_MANAGED_BY: COMPONENT}}
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": {}}
        created: Any = await _call(
            self._objects.create_namespaced_custom_object(
                GROUP, VERSION, self.namespace, plural, body, _request_timeout=TIMEOUT_SECONDS
            )
        )
        return dict(created)

    async def create_agent(self, name: str, agent_type: str, pod: PodRef | None) -> dict[str, Any]:
        """Create an Agent, owned by its Pod where it has one here, so that it goes with it.

        :raises AlreadyExistsError: there is one.
        """
        owners = []
        if pod is not None and pod.namespace == self.namespace:
            owners = [{"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}]
        body = {
            "apiVersion": API_VERSION,
            "kind": "Agent",
            "metadata": {
                "name": name,
                "ownerReferences": owners,
                "labels": agent_labels(agent_type),
            },
            "spec": {"type": agent_type},
        }
        created: Any = await _call(
            self._objects.create_namespaced_custom_object(
                GROUP, VERSION, self.namespace, "agents", body, _request_timeout=TIMEOUT_SECONDS
            )
        )
        self._told("agents", [created])
        return dict(created)

    async def list_pods(self) -> list[dict[str, Any]]:
        """Return every Pod of an AgentPool. :raises KubeError: they cannot be read now."""
        found = await _call(
            self._core.list_namespaced_pod(
                self.namespace, label_selector=POOL_LABEL, _request_timeout=TIMEOUT_SECONDS
            )
        )
        pods = [self._wire(pod) for pod in found.items]
        # The watch leaves out Pods that lost their label.
        self._told("pods", [pod for pod in pods if TYPE_LABEL in pod["metadata"].get("labels", {})])
        return pods

    async def create_pod(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create a Pod and return it.

        :raises RefusedError: admission, a quota or the API server's rules are against it.
        """
        pod: Any = body
        created = self._wire(
            await _call(
                self._core.create_namespaced_pod(self.namespace, pod, _request_timeout=TIMEOUT_SECONDS)
            )
        )
        self._told("pods", [created])
        return created

    async def delete_pod(self, name: str, uid: str) -> None:
        """Delete the Pod with this UID. :raises NotFoundError: it is gone already."""
        options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=uid))
        try:
            await _call(
                self._core.delete_namespaced_pod(
                    name, self.namespace, body=options, _request_timeout=TIMEOUT_SECONDS
                )
            )
        except AlreadyExistsError as error:  # 409: another UID has the name
            raise NotFoundError(str(error)) from error

    async def ask(self, plural: str) -> None:
        """Read one object of a kind, to know whether that can be done. :raises KubeError: it cannot."""
        if plural == "pods":
            await _call(
                self._core.list_namespaced_pod(self.namespace, limit=1, _request_timeout=TIMEOUT_SECONDS)
            )
        else:
            await _call(
                self._objects.list_namespaced_custom_object(
                    GROUP, VERSION, self.namespace, plural, limit=1, _request_timeout=TIMEOUT_SECONDS
                )
            )

    def _told(self, plural: str, bodies: Iterable[Any]) -> None:
        self.newest[plural] = max(self.newest.get(plural, 0), *map(version, bodies), 0)

    def _wire(self, found: Any) -> dict[str, Any]:
        """Return an object of the client's as the API spells it, as watches show it."""
        api: Any = self._api
        return dict(api.sanitize_for_serialization(found))

    async def record(
        self, about: TaskEntry | AgentEntry | PoolEntry | Reference, note: EventNote, reporter: str
    ) -> None:
        """Record an Event on an object (``events.k8s.io/v1``)."""
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name[:200]}.{uuid4().hex[:16]}", "namespace": self.namespace},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": note.type.value,
            "reason": note.reason[:128],
            "note": note.message.encode()[:1000].decode(errors="ignore"),
            "action": "Reconcile",
            "reportingController": f"harebell.dev/{COMPONENT}",
            "reportingInstance": reporter[:128],
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": _kind(about),
                "name": about.name,
                "namespace": self.namespace,
                "uid": about.uid,
            },
        }
        await _call(
            self._objects.create_namespaced_custom_object(
                "events.k8s.io", "v1", self.namespace, "events", body, _request_timeout=TIMEOUT_SECONDS
            )
        )


def _kind(about: TaskEntry | AgentEntry | PoolEntry | Reference) -> str:
    match about:
        case TaskEntry():
            return "Task"
        case AgentEntry():
            return "Agent"
        case PoolEntry():
            return "AgentPool"
        case Reference():
            return about.kind
        case _:
            assert_never(about)


async def _call(call: Awaitable[T]) -> T:
    """Await a client call, with its errors in this module's words."""
    try:
        return await call
    except ApiException as error:
        text = f"{error.status} {error.reason}: {_message(error)}"
        match error.status:
            case 404:
                raise NotFoundError(text) from error
            case 409:
                raise AlreadyExistsError(text) from error
            case 400 | 403 | 413 | 422:
                raise RefusedError(text) from error
            case _:
                raise KubeError(text) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise KubeError(f"{type(error).__name__}: {error}") from error


def _message(error: ApiException) -> str:
    """Return what the API server's Status says, or the beginning of whatever else came back."""
    body = str(error.body or "")
    try:
        return str(json.loads(body)["message"])[:1000]
    except (ValueError, TypeError, KeyError):
        return body[:500]


@asynccontextmanager
async def api_client() -> AsyncIterator[client.ApiClient]:
    """Yield a client for the cluster this runs in, or the one KUBECONFIG names."""
    configuration = client.Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    async with client.ApiClient(configuration) as api:
        yield api
