"""An API server in memory, as far as the API knows one, and resources to put in it."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from tests.support.keys import key

from harebell_api.kube import Kind, Object
from harebell_api.kube_errors import ApiServerError, ApiServerUnreachableError
from harebell_api.past import Page, PastFilter, Spot
from harebell_api.problems import ProblemError
from harebell_crds.task import TaskSpec

NAMESPACE = "work"
KEY = key("tester")
AUTH = {"Authorization": f"Bearer {KEY}"}


def uid_of(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012d}"


def task(
    name: str = "t",
    version: int = 1,
    *,
    phase: str | None = None,
    uid: str | None = None,
    created: str = "2026-01-01T00:00:00Z",
    labels: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid or f"uid-of-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": created,
            "labels": labels or {},
        },
        "spec": {"agentType": "text", "action": "echo", "priority": "normal", **(spec or {})},
    }
    if phase is not None or status is not None:
        found["status"] = {**({"phase": phase} if phase else {}), **(status or {})}
    return found


def agent(
    name: str = "a",
    version: int = 1,
    *,
    type: str = "text",
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-of-{name}",
            "resourceVersion": str(version),
        },
        "spec": {"type": type, **(spec or {})},
    }
    if status is not None:
        found["status"] = status
    return found


def announcement(
    name: str = "n",
    version: int = 1,
    *,
    created: str = "2026-01-01T00:00:00Z",
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-of-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": created,
        },
        "spec": {"kind": "Notice", **(spec or {})},
    }
    if status is not None:
        found["status"] = status
    return found


@dataclass
class FakeStore:
    """A :class:`harebell_api.kube.Store`. ``failure`` is raised by the next call."""

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    announcements: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    failure: ApiServerError | ApiServerUnreachableError | None = None
    version: int = 0
    """What the API server says that Tasks are at."""
    finish_before_patch: str | None = None
    """Phase that a Task gets just before a patch arrives."""
    at_once: int = 0
    """Most calls that were under way at the same time."""
    _under_way: int = 0
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def add(self, *tasks: dict[str, Any]) -> None:
        self.tasks.update({t["metadata"]["name"]: t for t in tasks})

    async def create(self, kind: Kind, manifest: Object) -> Object:
        await self._begin("create")
        number = next(self._numbers)
        metadata = dict(manifest["metadata"])
        name = metadata.pop("name", None) or f"{metadata.pop('generateName')}{number:05d}"
        if name in self._of(kind):
            raise ApiServerError(409, "AlreadyExists", f'{kind}.harebell.dev "{name}" already exists')
        created = task(name, 100 + number, uid=uid_of(number), labels=metadata.get("labels"))
        created["metadata"]["annotations"] = metadata.get("annotations")
        spec = manifest["spec"]
        created["spec"] = TaskSpec.model_validate(spec).to_wire() if kind is Kind.TASKS else dict(spec)
        self._of(kind)[name] = created
        return deepcopy(created)

    async def read(self, kind: Kind, name: str) -> Object:
        await self._begin("read")
        return deepcopy(self._find(kind, name))

    async def current_version(self) -> int:
        await self._begin("version")
        return self.version

    async def patch(self, kind: Kind, name: str, patch: Object) -> Object:
        await self._begin("patch")
        found, spec = self._find(kind, name), patch["spec"]
        for member, value in patch["metadata"].items():
            if found["metadata"][member] != value:
                raise ApiServerError(409, "Conflict", f"{member} mismatch")
        if kind is Kind.TASKS:
            self._refuse(found, spec)
        if {**found["spec"], **spec} != found["spec"]:  # what changes nothing leaves the version as it is
            found["metadata"]["resourceVersion"] = str(1000 + next(self._numbers))
        found["spec"] |= spec
        return deepcopy(found)

    async def delete(self, kind: Kind, name: str, uid: str) -> None:
        await self._begin("delete")
        if self._find(kind, name)["metadata"]["uid"] != uid:
            raise ApiServerError(409, "Conflict", "uid mismatch")
        del self._of(kind)[name]

    def _refuse(self, found: dict[str, Any], spec: Object) -> None:
        if found["spec"].get("cancel") == "Immediate" != spec.get("cancel", "Immediate"):
            raise ApiServerError(422, "Invalid", "spec.cancel cannot go from Immediate back to Graceful")
        if self.finish_before_patch:
            found.setdefault("status", {})["phase"] = self.finish_before_patch
        waits = (found.get("status") or {}).get("phase", "Pending") in ("Pending", "Queued")
        if spec.get("priority", found["spec"]["priority"]) != found["spec"]["priority"] and not waits:
            raise ApiServerError(422, "Invalid", "spec.priority is immutable once the Task runs")

    async def _begin(self, call: str) -> None:
        self.calls.append(call)
        self._under_way += 1
        self.at_once = max(self.at_once, self._under_way)
        await asyncio.sleep(0)
        self._under_way -= 1
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def _of(self, kind: Kind) -> dict[str, dict[str, Any]]:
        everything = {
            Kind.TASKS: self.tasks,
            Kind.AGENTS: self.agents,
            Kind.ANNOUNCEMENTS: self.announcements,
        }
        return everything[kind]

    def _find(self, kind: Kind, name: str) -> dict[str, Any]:
        if name not in self._of(kind):
            raise ApiServerError(404, "NotFound", f'{kind}.harebell.dev "{name}" not found')
        return self._of(kind)[name]


@dataclass
class FakePast:
    """A :class:`harebell_api.past.Past` that notes what it is asked."""

    uids: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    page: Page = field(default_factory=lambda: Page([], None))
    failure: ProblemError | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def uid_of(self, namespace: str, name: str) -> str | None:
        self._begin("uid_of", name)
        return self.uids.get(name)

    async def agent_type_of(self, namespace: str, uid: str) -> str | None:
        self._begin("agent_type_of", uid)
        return self.types.get(uid)

    async def messages(self, namespace: str, uid: str, limit: int, after: Spot | None) -> Page:
        self._begin("messages", uid, limit, after)
        return self.page

    async def removed(self, namespace: str, wanted: PastFilter, limit: int, after: Spot | None) -> Page:
        self._begin("removed", wanted, limit, after)
        return self.page

    def _begin(self, *call: Any) -> None:
        self.asked.append(call)
        if self.failure is not None:
            raise self.failure


class ScriptEndedError(Exception):
    """A reflector asked for more than the test has to give."""


Step = Iterable[Object] | Exception


@dataclass
class ScriptedSource:
    """A :class:`harebell_api.kube.Source` that plays lists and watches in the order given."""

    lists: list[tuple[list[Object], int] | Exception]
    watches: list[list[Object | Exception]]
    asked: list[str] = field(default_factory=list)
    """``list``, or the version a watch was asked to go on from."""

    async def list(self, kind: Kind) -> AsyncGenerator[Object, None]:
        self.asked.append("list")
        step = self.lists.pop(0) if self.lists else ScriptEndedError()
        if isinstance(step, Exception):
            raise step
        items, version = step
        pages: list[list[Object]] = [[item] for item in items] or [[]]
        for page in pages:
            yield {"metadata": {"resourceVersion": str(version)}, "items": page}

    async def watch(
        self, kind: Kind, version: str, opened: Callable[[], None]
    ) -> AsyncGenerator[Object, None]:
        self.asked.append(version)
        if not self.watches:
            raise ScriptEndedError
        opened()
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event
