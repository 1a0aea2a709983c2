"""What clients do with Tasks: dispatch, find, prioritize, cancel."""

import re
from dataclasses import dataclass
from typing import Any

from harebell_crds import API_VERSION
from harebell_crds.task import MAX_PAYLOAD_BYTES, CancelMode, Priority, TaskPhase

from .cache import Cache
from .idempotency import LABEL, hash_key, same_request
from .kube import Object, TaskStore
from .kube_errors import ApiServerError, ApiServerUnreachableError, problem_for
from .models import DispatchRequest, compact_json
from .problems import FieldError, ProblemError, ProblemType
from .records import TaskRecord, task_record
from .replays import REPLAYABLE, replay_manifest

DEFAULT_PREFIX = "task-"
WAITING = frozenset((TaskPhase.PENDING.value, TaskPhase.QUEUED.value))
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def task_aliases(task: TaskRecord) -> tuple[str, ...]:
    """Return what a Task is found by besides its name: its UID, and the hash of its idempotency key."""
    key = task.labels.get(LABEL)
    return (task.uid, key) if key else (task.uid,)


@dataclass(frozen=True)
class Dispatched:
    """The Task of a request, and whether an earlier request with the same key made it."""

    task: TaskRecord
    replayed: bool


class Tasks:
    """The Tasks of one namespace: reads from the cache, writes to the API server."""

    def __init__(self, namespace: str, store: TaskStore, cache: Cache[TaskRecord]) -> None:
        self.namespace, self._store, self.cache = namespace, store, cache

    async def find(self, task_id: str) -> TaskRecord:
        """Return a Task by name or UID. :raises ProblemError: there is none.

        A name the cache does not have is asked of the API server: another replica may have made the Task
        just now.
        """
        found = self.cache.get(task_id) or (self.cache.by_alias(task_id) if _is_uid(task_id) else None)
        if found is not None:
            return found
        if _is_uid(task_id) or len(task_id) > 253 or not _NAME.fullmatch(task_id):
            raise _not_found(task_id)
        return await self._read(task_id)

    async def dispatch(self, request: DispatchRequest, key: str | None) -> Dispatched:
        """Make the Task asked for, or return the one an earlier request with this key made.

        :raises ProblemError: the Task cannot be made, or the key belongs to another request.
        """
        size = len(compact_json(request.payload))
        if size > MAX_PAYLOAD_BYTES:
            detail = f"the payload is {size} bytes as JSON; at most {MAX_PAYLOAD_BYTES} are allowed"
            raise ProblemError(ProblemType.TOO_LARGE, detail, [FieldError(detail, pointer="/payload")])
        hashed = hash_key(self.namespace, key) if key is not None else None
        manifest = task_manifest(request, hashed)
        self._refuse_other_name(hashed, manifest["metadata"].get("name"))
        try:
            return Dispatched(self._remember(await self._store.create_task(manifest)), replayed=False)
        except ApiServerError as error:
            if hashed is None or error.reason != "AlreadyExists":
                raise problem_for(error) from error
        except ApiServerUnreachableError as error:
            raise problem_for(error) from error
        return Dispatched(await self._made_before(manifest, hashed), replayed=True)

    async def cancel(self, task_id: str, mode: CancelMode) -> TaskRecord:
        """Ask for a Task to be cancelled; asking again changes nothing, unless it makes it Immediate.

        :raises ProblemError: there is no such Task, or it has finished.
        """
        task = await self.find(task_id)
        _refuse_finished(task)
        if task.cancel in (mode, CancelMode.IMMEDIATE):
            # It may have finished a moment ago; nothing is written here that would tell.
            task = await self._read(task.name)
            _refuse_finished(task)
            return task
        try:
            patched = await self._patch(task, {"cancel": mode.value})
        except ApiServerError as error:
            if error.status == 422 and (await self._read(task.name)).cancel == CancelMode.IMMEDIATE:
                return await self.find(task.name)  # another request was quicker, and asked for more
            raise problem_for(error) from error
        _refuse_finished(patched)
        return patched

    async def prioritize(self, task_id: str, priority: Priority) -> TaskRecord:
        """Change the priority of a Task that waits; asking again changes nothing.

        :raises ProblemError: there is no such Task, or it does not wait any more.
        """
        task = await self.find(task_id)
        _refuse_finished(task)
        try:
            return await self._patch(task, {"priority": priority.value})
        except ApiServerError as error:
            # Whether it may change is for the API server to say: the operator may have started it just now.
            if error.status == 422 and (task := await self._read(task.name)).phase not in WAITING:
                _refuse_finished(task)
                detail = f"the priority of a Task that is {task.phase} cannot change"
                raise ProblemError(ProblemType.TASK_STARTED, detail) from error
            raise problem_for(error) from error

    async def _patch(self, task: TaskRecord, spec: Object) -> TaskRecord:
        """Change a Task's spec. :raises ApiServerError, ProblemError: it was not changed."""
        # The UID is a precondition: a new Task that took the name is not meant.
        patch = {"metadata": {"uid": task.uid}, "spec": dict(spec)}
        try:
            return self._remember(await self._store.patch_task(task.name, patch))
        except ApiServerError as error:
            if error.status == 404:
                raise _not_found(task.name) from error
            raise
        except ApiServerUnreachableError as error:
            raise problem_for(error) from error

    async def replay(self, task_id: str) -> Dispatched:
        """Make a Task that does an unsuccessful one again, or return the one made before.

        :raises ProblemError: there is no such Task, it has not failed, or what it depends on is gone.
        """
        original = await self._fetch((await self.find(task_id)).name)
        record = task_record(original)
        if record.phase not in REPLAYABLE:
            detail = f"only a finished Task without success can be done again; this one is {record.phase}"
            raise ProblemError(ProblemType.NOT_REPLAYABLE, detail)
        manifest = await replay_manifest(original, self.find)
        try:
            return Dispatched(self._remember(await self._store.create_task(manifest)), replayed=False)
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

    async def _fetch(self, name: str) -> Object:
        try:
            return await self._store.read_task(name)
        except ApiServerError as error:
            if error.status == 404:
                raise _not_found(name) from error
            raise problem_for(error) from error
        except ApiServerUnreachableError as error:
            raise problem_for(error) from error

    async def _read(self, name: str) -> TaskRecord:
        return self._remember(await self._fetch(name))

    async def _made_before(self, manifest: Object, hashed: str) -> TaskRecord:
        """Return the Task that has the name already, if it was made by the same request."""
        name = manifest["metadata"]["name"]
        try:
            existing = await self._store.read_task(name)
        except (ApiServerError, ApiServerUnreachableError) as error:
            if isinstance(error, ApiServerError) and error.status == 404:
                raise ProblemError(ProblemType.CONFLICT, f"Task {name} was deleted meanwhile") from error
            raise problem_for(error) from error
        if (existing["metadata"].get("labels") or {}).get(LABEL) != hashed:
            raise ProblemError(ProblemType.ALREADY_EXISTS, f"a Task named {name} exists")
        if not same_request(manifest["spec"], existing["spec"]):
            raise _key_reused(name)
        return self._remember(existing)

    def _refuse_other_name(self, hashed: str | None, name: str | None) -> None:
        """Refuse a key that has made a Task of another name, as far as this replica knows of it."""
        earlier = self.cache.by_alias(hashed) if hashed is not None else None
        if earlier is not None and earlier.name != name:
            raise _key_reused(earlier.name)

    def _remember(self, task: Object) -> TaskRecord:
        record = task_record(task)
        self.cache.remember(record)
        return record


def task_manifest(request: DispatchRequest, hashed_key: str | None) -> dict[str, Any]:
    """Return the Task to create. With an idempotency key, its name follows from the key."""
    metadata: dict[str, Any] = {"labels": dict(request.labels)}
    prefix = request.generate_name or DEFAULT_PREFIX
    if hashed_key is not None:
        metadata["labels"][LABEL] = hashed_key
    if request.name is not None:
        metadata["name"] = request.name
    elif hashed_key is not None:
        metadata["name"] = prefix + hashed_key
    else:
        metadata["generateName"] = prefix
    return {"apiVersion": API_VERSION, "kind": "Task", "metadata": metadata, "spec": request.spec()}


def _is_uid(text: str) -> bool:
    return _UID.fullmatch(text) is not None


def _refuse_finished(task: TaskRecord) -> None:
    if task.finished:
        raise ProblemError(ProblemType.TASK_FINISHED, f"the Task has finished: it is {task.phase}")


def _not_found(task_id: str) -> ProblemError:
    return ProblemError(ProblemType.NOT_FOUND, f"there is no Task {task_id[:253]}")


def _key_reused(name: str) -> ProblemError:
    return ProblemError(
        ProblemType.IDEMPOTENCY_KEY_REUSED, f"this Idempotency-Key made Task {name}, from a different request"
    )
