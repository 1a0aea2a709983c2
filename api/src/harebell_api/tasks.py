"""What clients do with Tasks: dispatch, find, prioritize, suspend, cancel.

Each is asked for by somebody, and a Task of an agent type that is not theirs does not exist for them.
"""

import re
from dataclasses import dataclass
from typing import Any

from harebell_crds import API_VERSION, GROUP
from harebell_crds.replay import REPLAYABLE
from harebell_crds.task import MAX_PAYLOAD_BYTES, CancelMode, Priority, TaskPhase

from .cache import Cache
from .idempotency import hash_key, same_request
from .kube import Kind, Object, Store
from .kube_errors import ApiServerError, ApiServerUnreachableError, problem_for
from .models import DispatchRequest, compact_json
from .permissions import Access, refuse_hidden, refuse_type
from .problems import FieldError, ProblemError, ProblemType
from .records import TaskRecord, task_record
from .replays import replay_manifest

DEFAULT_PREFIX = "task-"
DISPATCHED_BY = f"{GROUP}/dispatched-by"
"""Annotation: the client that made a Task through this API."""
Versions = frozenset[int] | None
"""Versions of a resource that a request is for. None: any."""
WAITING = frozenset((TaskPhase.PENDING.value, TaskPhase.QUEUED.value))
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def task_aliases(task: TaskRecord) -> tuple[str, ...]:
    """Return what a Task is found by besides its name: its UID, and its idempotency key."""
    return (task.uid, _key_alias(task.key)) if task.key is not None else (task.uid,)


@dataclass(frozen=True)
class Dispatched:
    """The Task of a request, and whether an earlier request with the same key made it."""

    task: TaskRecord
    replayed: bool


class Tasks:
    """The Tasks of one namespace: reads from the cache, writes to the API server."""

    def __init__(self, namespace: str, store: Store, cache: Cache[TaskRecord]) -> None:
        self.namespace, self._store, self.cache = namespace, store, cache

    async def find(self, task_id: str, access: Access) -> TaskRecord:
        """Return a Task by name or UID. :raises ProblemError: there is none for the client.

        A name the cache does not have is asked of the API server: another replica may have made the Task
        just now.
        """
        found = await self._find(task_id)
        refuse_hidden(access, found.agent_type, _what(task_id))
        return found

    async def _find(self, task_id: str) -> TaskRecord:
        found = self.cache.get(task_id) or (self.cache.by_alias(task_id) if is_uid(task_id) else None)
        if found is not None:
            return found
        if not is_id(task_id):
            raise _not_found(task_id)
        try:
            return await self._read(task_id)
        except ProblemError as error:
            # Hardly ever a name, and what became of a Task of this UID need not wait for the API server.
            if is_uid(task_id) and error.problem.type is ProblemType.UNAVAILABLE:
                raise _not_found(task_id) from error
            raise

    async def current_version(self) -> int:
        """Return the resource version that Tasks are at now. :raises ProblemError: nobody says."""
        try:
            return await self._store.current_version()
        except (ApiServerError, ApiServerUnreachableError) as error:
            raise problem_for(error) from error

    async def dispatch(self, request: DispatchRequest, key: str | None, access: Access) -> Dispatched:
        """Make the Task asked for, or return the one an earlier request with this key made.

        :raises ProblemError: the Task cannot be made, or the key belongs to another request.
        """
        refuse_type(access, request.agent_type, "/agentType")
        size = len(compact_json(request.payload))
        if size > MAX_PAYLOAD_BYTES:
            detail = f"the payload is {size} bytes as JSON; at most {MAX_PAYLOAD_BYTES} are allowed"
            raise ProblemError(ProblemType.TOO_LARGE, detail, [FieldError(detail, pointer="/payload")])
        await self._refuse_results_of_others(request, access)
        manifest = task_manifest(request, self.namespace, key, access)
        if key is not None and (earlier := await self._made_with(key)) is not None:
            return Dispatched(self._matching(earlier, request, access), replayed=True)
        try:
            return Dispatched(self._remember(await self._store.create(Kind.TASKS, manifest)), replayed=False)
        except ApiServerError as error:
            if key is None or error.reason != "AlreadyExists":
                raise problem_for(error) from error
        except ApiServerUnreachableError as error:
            raise problem_for(error) from error
        made_before = await self._made_before(manifest["metadata"]["name"], key)
        return Dispatched(self._matching(made_before, request, access), replayed=True)

    async def cancel(
        self, task_id: str, mode: CancelMode, access: Access, versions: Versions = None
    ) -> TaskRecord:
        """Ask for a Task to be cancelled; asking again changes nothing, unless it makes it Immediate.

        :raises ProblemError: there is no such Task, it has finished, or it is in another version.
        """
        task = await self._meant(task_id, access, versions)
        _refuse_finished(task)
        if task.cancel in (mode, CancelMode.IMMEDIATE):
            # It may have finished a moment ago; nothing is written here that would tell.
            task = await self._read(task.name)
            _refuse_finished(task)
            return task
        try:
            patched = await self._patch(task, {"cancel": mode.value}, versions)
        except ApiServerError as error:
            if error.status == 422 and (await self._read(task.name)).cancel == CancelMode.IMMEDIATE:
                return await self._find(task.name)  # another request was quicker, and asked for more
            raise problem_for(error) from error
        _refuse_finished(patched)
        return patched

    async def suspend(
        self, task_id: str, wanted: bool, access: Access, versions: Versions = None
    ) -> TaskRecord:
        """Suspend a Task, or resume it; asking again changes nothing.

        :raises ProblemError: there is no such Task, it has finished, or it is in another version.
        """
        task = await self._meant(task_id, access, versions)
        _refuse_finished(task)
        try:
            patched = await self._patch(task, {"suspend": wanted}, versions)
        except ApiServerError as error:
            raise problem_for(error) from error
        _refuse_finished(patched)
        return patched

    async def prioritize(
        self, task_id: str, priority: Priority, access: Access, versions: Versions = None
    ) -> TaskRecord:
        """Change the priority of a Task that waits; asking again changes nothing.

        :raises ProblemError: there is no such Task, it does not wait any more, or it is in another version.
        """
        task = await self._meant(task_id, access, versions)
        _refuse_finished(task)
        try:
            return await self._patch(task, {"priority": priority.value}, versions)
        except ApiServerError as error:
            # Whether it may change is for the API server to say: the operator may have started it just now.
            if error.status == 422 and (task := await self._read(task.name)).phase not in WAITING:
                _refuse_finished(task)
                detail = f"the priority of a Task that is {task.phase} cannot change"
                raise ProblemError(ProblemType.TASK_STARTED, detail) from error
            raise problem_for(error) from error

    async def _meant(self, task_id: str, access: Access, versions: Versions) -> TaskRecord:
        """Return the Task that is to be changed, which the API server is asked for where its version counts.

        :raises ProblemError: there is no such Task for the client, or it is in another version.
        """
        task = await self.find(task_id, access)
        if versions is None:
            return task
        task = await self._read(task.name)
        refuse_hidden(access, task.agent_type, _what(task_id))
        if task.version not in versions:
            raise _precondition_failed(task.name)
        return task

    async def _patch(self, task: TaskRecord, spec: Object, versions: Versions = None) -> TaskRecord:
        """Change a Task's spec. :raises ApiServerError, ProblemError: it was not changed."""
        # The UID is a precondition: a new Task that took the name is not meant.
        metadata = {
            "uid": task.uid,
            **({"resourceVersion": str(task.version)} if versions is not None else {}),
        }
        try:
            patch = {"metadata": metadata, "spec": dict(spec)}
            return self._remember(await self._store.patch(Kind.TASKS, task.name, patch))
        except ApiServerError as error:
            if error.status == 404:
                raise _not_found(task.name) from error
            if error.reason == "Conflict" and versions is not None:
                raise _precondition_failed(task.name) from error
            raise
        except ApiServerUnreachableError as error:
            raise problem_for(error) from error

    async def replay(self, task_id: str, access: Access) -> Dispatched:
        """Make a Task that does an unsuccessful one again, or return the one made before.

        :raises ProblemError: there is no such Task, it has not failed, or what it depends on is gone.
        """
        original = await self._fetch((await self.find(task_id, access)).name)
        record = task_record(original)
        if record.phase not in REPLAYABLE:
            detail = f"only a finished Task without success can be done again; this one is {record.phase}"
            raise ProblemError(ProblemType.NOT_REPLAYABLE, detail)
        manifest = await replay_manifest(original, self._find)
        manifest["metadata"]["annotations"] = {DISPATCHED_BY: access.client}
        try:
            return Dispatched(self._remember(await self._store.create(Kind.TASKS, manifest)), replayed=False)
        except ApiServerError as error:
            if error.reason != "AlreadyExists":
                raise problem_for(error) from error
        except ApiServerUnreachableError as error:
            raise problem_for(error) from error
        existing = await self._fetch(manifest["metadata"]["name"])
        if (existing["spec"].get("replayOf") or {}).get("uid") != record.uid:
            raise ProblemError(
                ProblemType.ALREADY_EXISTS, f"a Task named {existing['metadata']['name']} exists"
            )
        return Dispatched(self._remember(existing), replayed=True)

    async def _refuse_results_of_others(self, request: DispatchRequest, access: Access) -> None:
        """Refuse to give a client, through its own Task, the results of Tasks that do not exist for it.

        A Task of a name that is not there yet could be of any type. :raises ProblemError: one is named.
        """
        if access.agent_types is None:
            return
        for place, dependency in enumerate(request.depends_on):
            try:
                await self.find(dependency.name, access)
            except ProblemError as error:
                if error.problem.type is not ProblemType.NOT_FOUND:
                    raise
                detail = (
                    f"{error.problem.detail}; a client that is limited to some agent types can only depend"
                    " on Tasks of these that are there already"
                )
                pointer = f"/dependsOn/{place}/name"
                raise ProblemError(
                    ProblemType.INVALID, detail, [FieldError(detail, pointer=pointer)]
                ) from error

    async def _fetch(self, name: str) -> Object:
        try:
            return await self._store.read(Kind.TASKS, name)
        except ApiServerError as error:
            if error.status == 404:
                raise _not_found(name) from error
            raise problem_for(error) from error
        except ApiServerUnreachableError as error:
            raise problem_for(error) from error

    async def _read(self, name: str) -> TaskRecord:
        return self._remember(await self._fetch(name))

    async def _made_with(self, key: str) -> Object | None:
        """Return the Task of a key, as far as this replica knows of one; the order is the operator's."""
        known = self.cache.all_by_alias(_key_alias(key))
        if not known:
            return None
        first = min(known, key=lambda task: (not task.begun, task.created, task.uid))
        return await self._read_if(first.name, first.uid)

    async def _made_before(self, name: str, key: str) -> Object:
        """Return the Task that has the name a key gives, or the one that is done in its place.

        :raises ProblemError: another key, or none, made it.
        """
        try:
            existing = await self._store.read(Kind.TASKS, name)
        except (ApiServerError, ApiServerUnreachableError) as error:
            if isinstance(error, ApiServerError) and error.status == 404:
                raise ProblemError(ProblemType.CONFLICT, f"Task {name} was deleted meanwhile") from error
            raise problem_for(error) from error
        if existing["spec"].get("idempotencyKey") != key:
            raise ProblemError(ProblemType.ALREADY_EXISTS, f"a Task named {name} exists")
        original = (existing.get("status") or {}).get("duplicateOf")
        done = await self._read_if(original["name"], original["uid"]) if original else None
        return done or existing

    async def _read_if(self, name: str, uid: str) -> Object | None:
        """Return the Task with this name and UID, or None: there is none any more."""
        try:
            found = await self._store.read(Kind.TASKS, name)
        except ApiServerError as error:
            if error.status == 404:
                return None
            raise problem_for(error) from error
        except ApiServerUnreachableError as error:
            raise problem_for(error) from error
        return found if found["metadata"]["uid"] == uid else None

    def _matching(self, existing: Object, request: DispatchRequest, access: Access) -> TaskRecord:
        """Return a Task made with the key of a request. :raises ProblemError: by another request."""
        name = existing["metadata"]["name"]
        named_so = request.name in (None, name) and name.startswith(request.generate_name or "")
        if not named_so or not same_request(request.spec(), existing["spec"]):
            shown = f"Task {name}" if access.sees(existing["spec"]["agentType"]) else "another Task"
            detail = f"this Idempotency-Key made {shown}, from a different request"
            raise ProblemError(ProblemType.IDEMPOTENCY_KEY_REUSED, detail)
        return self._remember(existing)

    def _remember(self, task: Object) -> TaskRecord:
        record = task_record(task)
        self.cache.remember(record)
        return record


def task_manifest(
    request: DispatchRequest, namespace: str, key: str | None, access: Access
) -> dict[str, Any]:
    """Return the Task to create. With an idempotency key, its name follows from the key."""
    metadata: dict[str, Any] = {
        "labels": dict(request.labels),
        "annotations": {DISPATCHED_BY: access.client},
    }
    spec = request.spec()
    prefix = request.generate_name or DEFAULT_PREFIX
    if key is not None:
        spec["idempotencyKey"] = key
    if request.name is not None:
        metadata["name"] = request.name
    elif key is not None:
        metadata["name"] = prefix + hash_key(namespace, key)
    else:
        metadata["generateName"] = prefix
    return {"apiVersion": API_VERSION, "kind": "Task", "metadata": metadata, "spec": spec}


def is_id(text: str) -> bool:
    """Whether a Task can have this name or UID."""
    return len(text) <= 253 and _NAME.fullmatch(text) is not None


def is_uid(text: str) -> bool:
    """Whether it looks like a UID; so may a name."""
    return _UID.fullmatch(text) is not None


def _refuse_finished(task: TaskRecord) -> None:
    if task.finished:
        raise ProblemError(ProblemType.TASK_FINISHED, f"the Task has finished: it is {task.phase}")


def _not_found(task_id: str) -> ProblemError:
    return ProblemError(ProblemType.NOT_FOUND, f"there is no {_what(task_id)}")


def _what(task_id: str) -> str:
    return f"Task {task_id[:253]}"


def _precondition_failed(name: str) -> ProblemError:
    detail = f"Task {name} was changed since: read it, and decide again"
    return ProblemError(ProblemType.PRECONDITION_FAILED, detail)


def _key_alias(key: str) -> str:
    return f"key {key}"
