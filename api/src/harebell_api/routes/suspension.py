"""Suspending Tasks and resuming them."""

from fastapi import APIRouter
from starlette.responses import Response

from harebell_api.conditional import wanted_versions
from harebell_api.models import TaskDocument
from harebell_api.permissions import Access, Client, Scope, needs
from harebell_api.responses import changed, problems
from harebell_api.tasks import Tasks

from .answers import changed_answer
from .parameters import IfMatch, TaskId

_RESPONSES = {**changed(202, "The Task."), **problems(404, 409, 412, 422, 503)}


def suspension_routes(tasks: Tasks) -> APIRouter:
    """Return the routes that change ``spec.suspend``."""
    router = APIRouter(prefix="/api/v1", tags=["tasks"], dependencies=[needs(Scope.CANCEL)])

    async def change(task_id: str, client: Access, if_match: str | None, *, wanted: bool) -> Response:
        versions = wanted_versions(if_match)
        return changed_answer(await tasks.suspend(task_id, wanted, client, versions), 202)

    @router.post(
        "/suspend/{task_id}",
        operation_id="suspendTask",
        summary="Keep a Task from starting, and have it handed back if it runs and can go on later",
        status_code=202,
        response_model=TaskDocument,
        responses=_RESPONSES,
    )
    async def suspend(task_id: TaskId, client: Client, if_match: IfMatch = None) -> Response:
        return await change(task_id, client, if_match, wanted=True)

    @router.post(
        "/resume/{task_id}",
        operation_id="resumeTask",
        summary="Let a suspended Task start",
        status_code=202,
        response_model=TaskDocument,
        responses=_RESPONSES,
    )
    async def resume(task_id: TaskId, client: Client, if_match: IfMatch = None) -> Response:
        return await change(task_id, client, if_match, wanted=False)

    return router
