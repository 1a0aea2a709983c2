"""Dispatch, status, list, change of priority and cancel."""

import json
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request
from starlette.responses import Response

from harebell_api.archive import Archive
from harebell_api.audit import note
from harebell_api.conditional import wanted_versions
from harebell_api.idempotency import IdempotencyKeyError, parse_key
from harebell_api.kube import Kind
from harebell_api.models import (
    CancelRequest,
    DispatchRequest,
    PriorityRequest,
    TaskDocument,
    TaskPage,
    TaskQuery,
    TaskStatusDocument,
)
from harebell_api.permissions import Access, Client, Scope, needs
from harebell_api.problems import FieldError, ProblemError, ProblemType
from harebell_api.queries import TaskFilter, newest
from harebell_api.queues import Queues
from harebell_api.responses import changed, fresh, problems
from harebell_api.selector import parse_selector
from harebell_api.tasks import Tasks, is_id, is_uid

from .answers import changed_answer, json_answer, page_body, read_answer, with_member
from .cursors import cursor_of, place_after
from .parameters import IdempotencyKey, IfMatch, IfNoneMatch, TaskId

_REPLAYED = "`true` when an earlier request with the same Idempotency-Key made the Task."


def task_routes(tasks: Tasks, queues: Queues, archive: Archive | None = None) -> APIRouter:
    """Return the routes of Tasks. The status of one that was deleted is looked for in the archive."""
    router = APIRouter(prefix="/api/v1", tags=["tasks"])

    @router.post(
        "/dispatch",
        operation_id="dispatchTask",
        summary="Submit work",
        status_code=202,
        response_model=TaskDocument,
        responses={
            **changed(202, "The Task.", Location="Where to read its status.", Idempotent_Replayed=_REPLAYED),
            **problems(400, 409, 413, 415, 422, 503),
        },
        dependencies=[needs(Scope.DISPATCH)],
    )
    async def dispatch(
        asked: Request,
        request: DispatchRequest,
        client: Client,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        made = await tasks.dispatch(request, _key(idempotency_key), client)
        note(asked, Kind.TASKS, made.task.name)
        headers = {"Location": f"/api/v1/status/{made.task.name}"}
        if made.replayed:
            headers["Idempotent-Replayed"] = "true"
        return changed_answer(made.task, 202, headers)

    @router.get(
        "/status/{task_id}",
        operation_id="getTask",
        summary="Read the status of a Task",
        response_model=TaskStatusDocument,
        responses={**fresh(tagged=True), **problems(404, 422, 503)},
        dependencies=[needs(Scope.READ)],
    )
    async def status(task_id: TaskId, client: Client, if_none_match: IfNoneMatch = None) -> Response:
        try:
            task = await tasks.find(task_id, client)
        except ProblemError as problem:
            if archive is None or problem.problem.type is not ProblemType.NOT_FOUND or not is_id(task_id):
                raise
            found = None
            if is_uid(task_id):
                found = await archive.find(tasks.namespace, task_id, is_uid=True)
            if found is None:  # a name may look like a UID
                found = await archive.find(tasks.namespace, task_id, is_uid=False)
            if found is None or not _seen(found, client):
                raise
            return json_answer(with_member(found, "queue", None))
        body = with_member(task.body, "queue", queues.place(task))
        return read_answer(body, if_none_match, tasks.cache, version=task.version)

    @router.get(
        "/tasks",
        operation_id="listTasks",
        summary="List Tasks, newest first",
        response_model=TaskPage,
        responses={**fresh(tagged=True), **problems(400, 422)},
        dependencies=[needs(Scope.READ)],
    )
    async def list_tasks(
        query: Annotated[TaskQuery, Query()], client: Client, if_none_match: IfNoneMatch = None
    ) -> Response:
        wanted, after = _filter(query, client), place_after(query.cursor)
        shown, place = newest(tasks.cache.values(), wanted, query.limit, after)
        body = page_body((task.body for task in shown), nextCursor=cursor_of(place))
        return read_answer(body, if_none_match, tasks.cache)

    @router.patch(
        "/tasks/{task_id}",
        operation_id="prioritizeTask",
        summary="Change the priority of a waiting Task",
        response_model=TaskDocument,
        responses={**changed(200, "The Task."), **problems(400, 404, 409, 412, 415, 422, 503)},
        dependencies=[needs(Scope.CANCEL)],
    )
    async def prioritize(
        task_id: TaskId, request: PriorityRequest, client: Client, if_match: IfMatch = None
    ) -> Response:
        versions = wanted_versions(if_match)
        return changed_answer(await tasks.prioritize(task_id, request.priority, client, versions), 200)

    @router.post(
        "/cancel/{task_id}",
        operation_id="cancelTask",
        summary="Cancel a Task",
        status_code=202,
        response_model=TaskDocument,
        responses={**changed(202, "The Task."), **problems(400, 404, 409, 412, 415, 422, 503)},
        dependencies=[needs(Scope.CANCEL)],
    )
    async def cancel(
        task_id: TaskId,
        client: Client,
        request: Annotated[CancelRequest | None, Body()] = None,
        if_match: IfMatch = None,
    ) -> Response:
        mode = (request or CancelRequest()).mode
        return changed_answer(await tasks.cancel(task_id, mode, client, wanted_versions(if_match)), 202)

    return router


def _seen(document: bytes, client: Access) -> bool:
    return client.agent_types is None or client.sees(json.loads(document)["agentType"])


def _key(header: str | None) -> str | None:
    if header is None:
        return None
    try:
        return parse_key(header)
    except IdempotencyKeyError as error:
        raise ProblemError(
            ProblemType.INVALID_IDEMPOTENCY_KEY,
            str(error),
            [FieldError(str(error), parameter="Idempotency-Key")],
        ) from error


def _filter(query: TaskQuery, client: Access) -> TaskFilter:
    try:
        labels = parse_selector(query.label_selector)
    except ValueError as error:
        raise ProblemError(
            ProblemType.INVALID, str(error), [FieldError(str(error), parameter="label_selector")]
        ) from error
    return TaskFilter(
        phases=frozenset(phase.value for phase in query.phase),
        agent_types=frozenset(query.agent_type),
        priorities=frozenset(priority.value for priority in query.priority),
        labels=labels,
        seen=client.agent_types,
    )
