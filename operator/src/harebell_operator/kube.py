"""The few calls the operator makes to the API server, besides watching."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, assert_never
from urllib.parse import quote
from uuid import uuid4

from harebell_bus.envelopes import PodRef
from harebell_crds import API_VERSION, GROUP, VERSION

from .apiserver import AlreadyExistsError, ApiServer, NotFoundError, RefusedError
from .decide.observation import EventNote
from .decide.pod import POOL_LABEL, TYPE_LABEL
from .store import AgentEntry, PoolEntry, TaskEntry

COMPONENT = "harebell-operator"
PODS = "pods"
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


@dataclass(frozen=True)
class Reference:
    """An object that an Event is about."""

    kind: str
    name: str
    uid: str


class Kube:
    """Calls within one namespace."""

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self._api = api
        self.namespace = namespace
        self.newest: dict[str, int] = {}
        """The newest version of an object of each kind, by plural, that the API server has told."""

    async def list_pages(self, plural: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield every object of a kind, page by page: all of them may be too much to hold at once.

        :raises KubeError: they cannot be read now.
        """
        async for page in self._api.pages(self._path(plural)):
            self._told(plural, page)
            yield page

    async def list_all(self, plural: str) -> list[dict[str, Any]]:
        """Return every object of a kind. :raises KubeError: they cannot be read now."""
        return [body async for page in self.list_pages(plural) for body in page]

    async def get(self, plural: str, name: str) -> dict[str, Any]:
        """Return one object. :raises NotFoundError: there is none."""
        return await self._api.request("GET", self._path(plural, name))

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
        path = f"{self._path(plural, name)}/status"
        try:
            written = await self._api.request("PATCH", path, None, patch, "application/json-patch+json")
            self._told(plural, [written])
        except RefusedError:
            if uid is not None and (await self.get(plural, name))["metadata"]["uid"] != uid:
                raise NotFoundError(f"{name} was replaced by another object") from None
            raise

    async def delete(self, plural: str, name: str, uid: str) -> None:
        """Delete the object with this UID. :raises NotFoundError: it is gone already."""
        options = {"preconditions": {"uid": uid}}
        try:
            await self._api.request("DELETE", self._path(plural, name), None, options)
        except AlreadyExistsError as error:  # 409: another UID has the name
            raise NotFoundError(str(error)) from error

    async def create(self, plural: str, kind: str, name: str) -> dict[str, Any]:
        """Create an object of a kind whose spec says nothing. :raises AlreadyExistsError: there is one."""
        metadata = {"name": name, "labels": {_MANAGED_BY: COMPONENT}}
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": {}}
        return await self._api.request("POST", self._path(plural), None, body)

    async def create_agent(self, name: str, agent_type: str, pod: PodRef | None) -> dict[str, Any]:
        """Create an Agent, owned by its Pod where that is here, so that it goes with it.

        :raises AlreadyExistsError: there is one.
        """
        owners = []
        if pod is not None and await self._is_here(pod):
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
        created = await self._api.request("POST", self._path("agents"), None, body)
        self._told("agents", [created])
        return created

    async def _is_here(self, pod: PodRef) -> bool:
        """Return whether there is such a Pod. Other clusters have namespaces of the same name, and what
        belongs to an owner that does not exist is deleted as often as it is made."""
        if pod.namespace != self.namespace:
            return False
        try:
            found = await self.get(PODS, pod.name)
        except NotFoundError:
            return False
        return bool(found["metadata"]["uid"] == pod.uid)

    async def list_pods(self) -> list[dict[str, Any]]:
        """Return every Pod of an AgentPool. :raises KubeError: they cannot be read now."""
        pages = self._api.pages(self._path(PODS), labelSelector=POOL_LABEL)
        pods = [pod async for page in pages for pod in page]
        # The watch leaves out Pods that lost their label.
        self._told(PODS, [pod for pod in pods if TYPE_LABEL in pod["metadata"].get("labels", {})])
        return pods

    async def create_pod(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create a Pod and return it.

        :raises RefusedError: admission, a quota or the API server's rules are against it.
        """
        created = await self._api.request("POST", self._path(PODS), None, body)
        self._told(PODS, [created])
        return created

    async def delete_pod(self, name: str, uid: str) -> None:
        """Delete the Pod with this UID. :raises NotFoundError: it is gone already."""
        await self.delete(PODS, name, uid)

    async def ask(self, plural: str) -> None:
        """Read one object of a kind, to know whether that can be done. :raises KubeError: it cannot."""
        await self._api.request("GET", self._path(plural), {"limit": 1})

    def _path(self, plural: str, name: str = "") -> str:
        group = "/api/v1" if plural == PODS else f"/apis/{GROUP}/{VERSION}"
        return f"{group}/namespaces/{self.namespace}/{plural}" + (f"/{quote(name, safe='')}" if name else "")

    def _told(self, plural: str, bodies: Iterable[Any]) -> None:
        self.newest[plural] = max(self.newest.get(plural, 0), *map(version, bodies), 0)

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
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        await self._api.request("POST", path, None, body)


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
