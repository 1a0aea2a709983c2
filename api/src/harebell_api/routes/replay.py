"""Doing dead-lettered work again."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from harebell_api.audit import note
from harebell_api.kube import Kind
from harebell_api.models import ReplayList, ReplayRequest, ReplayResult, TaskDocument
from harebell_api.permissions import Access, Client, Scope, needs
from harebell_api.problems import FieldError, ProblemError, ProblemType
from harebell_api.queries import TaskFilter, newest
from harebell_api.responses import changed, problems
from harebell_api.selector import parse_selector
from harebell_api.tasks import Tasks
from harebell_crds.task import TaskPhase

from .answers import changed_answer, json_answer
from .cursors import cursor_of, place_after
from .parameters import TaskId


def replay_routes(tasks: Tasks) -> APIRouter:
    """Return the routes of replays."""
    router = APIRouter(prefix="/api/v1", tags=["tasks"], dependencies=[needs(Scope.DISPATCH)])

    @router.post(
        "/replay/{task_id}",
        operation_id="replayTask",
        summary="Do an unsuccessful Task again, as a new Task; asking twice makes one",
        status_code=202,
        response_model=TaskDocument,
        responses={
            **changed(202, "The new Task.", Location="Where to read its status."),
            **problems(404, 409, 422, 503),
        },
    )
    async def replay(asked: Request, task_id: TaskId, client: Client) -> Response:
        made = await tasks.replay(task_id, client)
        note(asked, Kind.TASKS, task_id, made.task.name)
        return changed_answer(made.task, 202, {"Location": f"/api/v1/status/{made.task.name}"})

    @router.post(
        "/replay",
        operation_id="replayTasks",
        summary="Do dead-lettered Tasks again, by labels and agent type",
        status_code=202,
        response_model=ReplayList,
        responses={202: {"description": "What became of each."}, **problems(400, 415, 422)},
    )
    async def replay_selected(asked: Request, request: ReplayRequest, client: Client) -> Response:
        wanted, after = _filter(request, client), place_after(request.cursor, pointer="/cursor")
        chosen, place = newest(tasks.cache.values(), wanted, request.limit, after)
        results = [await _replayed(tasks, task.name, client) for task in chosen]
        note(asked, Kind.TASKS, *(done.replayed_as for done in results if done.replayed_as))
        answer = ReplayList(items=results, next_cursor=cursor_of(place))
        return json_answer(answer.model_dump_json(by_alias=True).encode(), 202)

    return router


async def _replayed(tasks: Tasks, name: str, client: Access) -> ReplayResult:
    """Replay one of many: its problem is its own."""
    try:
        made = await tasks.replay(name, client)
    except ProblemError as error:
        return ReplayResult(task_id=name, replayed_as=None, problem=error.problem.detail)
    return ReplayResult(task_id=name, replayed_as=made.task.name, problem=None)


def _filter(request: ReplayRequest, client: Access) -> TaskFilter:
    try:
        labels = parse_selector(request.label_selector)
    except ValueError as error:
        raise ProblemError(
            ProblemType.INVALID, str(error), [FieldError(str(error), pointer="/labelSelector")]
        ) from error
    return TaskFilter(
        phases=frozenset({TaskPhase.DEAD_LETTERED.value}),
        agent_types=frozenset(request.agent_types),
        priorities=frozenset(),
        labels=labels,
        seen=client.agent_types,
    )
