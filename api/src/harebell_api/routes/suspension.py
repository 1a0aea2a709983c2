"""Suspending Tasks and resuming them."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from harebell_api.conditional import wanted_versions
from harebell_api.models import TaskDocument
from harebell_api.openapi import problems
from harebell_api.permissions import Scope, access_of, needs
from harebell_api.tasks import Tasks
from harebell_api.visible import visible_task

from .answers import changed_answer
from .parameters import IfMatch, TaskId

_RESPONSES = {202: {"description": "The Task."}, **problems(403, 404, 409, 412, 422, 503)}


def suspension_routes(tasks: Tasks) -> APIRouter:
    """Return the routes that change ``spec.suspend``."""
    router = APIRouter(prefix="/api/v1", tags=["tasks"], dependencies=[needs(Scope.CANCEL)])

    async def change(request: Request, task_id: str, if_match: str | None, *, wanted: bool) -> Response:
        task = await visible_task(tasks, task_id, access_of(request))
        versions = wanted_versions(if_match)
        return changed_answer(await tasks.suspend(task.name, wanted, versions), 202)

    @router.post(
        "/suspend/{task_id}",
        operation_id="suspendTask",
        summary="Keep a Task from starting, and have it handed back if it runs and can go on later",
        status_code=202,
        response_model=TaskDocument,
        responses=_RESPONSES,
    )
    async def suspend(request: Request, task_id: TaskId, if_match: IfMatch = None) -> Response:
        return await change(request, task_id, if_match, wanted=True)

    @router.post(
        "/resume/{task_id}",
        operation_id="resumeTask",
        summary="Let a suspended Task start",
        status_code=202,
        response_model=TaskDocument,
        responses=_RESPONSES,
    )
    async def resume(request: Request, task_id: TaskId, if_match: IfMatch = None) -> Response:
        return await change(request, task_id, if_match, wanted=False)

    return router
