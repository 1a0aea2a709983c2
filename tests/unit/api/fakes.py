"""An API server in memory, as far as the API knows one, and resources to put in it."""

import itertools
from collections.abc import AsyncGenerator, Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from harebell_api.kube import Kind, Object
from harebell_api.kube_errors import ApiServerError, ApiServerUnreachableError
from harebell_crds.task import TaskSpec

NAMESPACE = "work"
KEY = "0123456789abcdef"
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
    name: str = "a", version: int = 1, *, type: str = "text", status: dict[str, Any] | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-of-{name}",
            "resourceVersion": str(version),
        },
        "spec": {"type": type},
    }
    if status is not None:
        found["status"] = status
    return found


@dataclass
class FakeStore:
    """A :class:`harebell_api.kube.TaskStore`. ``failure`` is raised by the next call."""

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    failure: ApiServerError | ApiServerUnreachableError | None = None
    version: int = 0
    """What the API server says that Tasks are at."""
    finish_before_patch: str | None = None
    """Phase that a Task gets just before a patch arrives."""
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def add(self, *tasks: dict[str, Any]) -> None:
        self.tasks.update({t["metadata"]["name"]: t for t in tasks})

    async def create_task(self, manifest: Object) -> Object:
        self._begin("create")
        number = next(self._numbers)
        metadata = dict(manifest["metadata"])
        name = metadata.pop("name", None) or f"{metadata.pop('generateName')}{number:05d}"
        if name in self.tasks:
            raise ApiServerError(409, "AlreadyExists", f'tasks.harebell.dev "{name}" already exists')
        created = task(name, 100 + number, uid=uid_of(number), labels=metadata.get("labels"))
        created["spec"] = TaskSpec.model_validate(manifest["spec"]).to_wire()
        self.tasks[name] = created
        return deepcopy(created)

    async def read_task(self, name: str) -> Object:
        self._begin("read")
        return deepcopy(self._find(name))

    async def current_version(self) -> int:
        self._begin("version")
        return self.version

    async def patch_task(self, name: str, patch: Object) -> Object:
        self._begin("patch")
        found = self._find(name)
        if found["metadata"]["uid"] != patch["metadata"]["uid"]:
            raise ApiServerError(409, "Conflict", "uid mismatch")
        spec = patch["spec"]
        if found["spec"].get("cancel") == "Immediate" != spec.get("cancel", "Immediate"):
            raise ApiServerError(422, "Invalid", "spec.cancel cannot go from Immediate back to Graceful")
        if self.finish_before_patch:
            found.setdefault("status", {})["phase"] = self.finish_before_patch
        waits = (found.get("status") or {}).get("phase", "Pending") in ("Pending", "Queued")
        if spec.get("priority", found["spec"]["priority"]) != found["spec"]["priority"] and not waits:
            raise ApiServerError(422, "Invalid", "spec.priority is immutable once the Task runs")
        found["spec"] |= spec
        found["metadata"]["resourceVersion"] = str(1000 + next(self._numbers))
        return deepcopy(found)

    def _begin(self, call: str) -> None:
        self.calls.append(call)
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def _find(self, name: str) -> dict[str, Any]:
        if name not in self.tasks:
            raise ApiServerError(404, "NotFound", f'tasks.harebell.dev "{name}" not found')
        return self.tasks[name]


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
