"""What happened to Tasks, out of the archive."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from harebell_api.models import HistoryQuery, MessagePage, MessageQuery, PastTaskPage
from harebell_api.past import Page, Past, PastFilter, Spot
from harebell_api.permissions import Access, Client, Scope, needs, refuse_hidden
from harebell_api.problems import FieldError, ProblemError, ProblemType
from harebell_api.queries import CursorError, decode_spot, encode_spot
from harebell_api.responses import problems
from harebell_api.selector import parse_selector
from harebell_api.tasks import Tasks, is_id, is_uid

from .answers import json_answer, page_body
from .parameters import TaskId


def history_routes(tasks: Tasks, past: Past | None) -> APIRouter:
    """Return the routes of the history; without an archive they answer that there is none."""
    router = APIRouter(prefix="/api/v1/history", tags=["history"], dependencies=[needs(Scope.READ)])

    @router.get(
        "",
        operation_id="listHistory",
        summary="List Tasks that were deleted, the one deleted last first",
        response_model=PastTaskPage,
        responses=problems(400, 422, 503),
    )
    async def list_history(query: Annotated[HistoryQuery, Query()], client: Client) -> Response:
        after = _after(query.cursor)
        wanted = _filter(query, client)
        return _page_answer(await _there(past).removed(tasks.namespace, wanted, query.limit, after))

    @router.get(
        "/{task_id}",
        operation_id="getHistory",
        summary="List the messages about a Task, deleted or not, the oldest first",
        response_model=MessagePage,
        responses=problems(400, 404, 422, 503),
    )
    async def get_history(
        task_id: TaskId, query: Annotated[MessageQuery, Query()], client: Client
    ) -> Response:
        after = _after(query.cursor)
        uid, present = await _uid(tasks, _there(past), task_id, client)
        page = await _there(past).messages(tasks.namespace, uid, query.limit, after)
        if not page.items and not present and after is None:
            raise _not_found(task_id)
        return _page_answer(page)

    return router


async def _uid(tasks: Tasks, past: Past, task_id: str, access: Access) -> tuple[str, bool]:
    """Return the UID of a Task, and whether it is in the cluster.

    :raises ProblemError: there is none, as far as the client may know, or the archive cannot be read.
    """
    try:
        return (await tasks.find(task_id, access)).uid, True
    except ProblemError as error:
        if error.problem.type is not ProblemType.NOT_FOUND or not is_id(task_id):
            raise
    uid: str | None = task_id if is_uid(task_id) else None
    if uid is None or await past.agent_type_of(tasks.namespace, uid) is None:  # a name may look like a UID
        uid = await past.uid_of(tasks.namespace, task_id) or uid
    if uid is None:
        raise _not_found(task_id)
    if access.agent_types is not None:
        agent_type = await past.agent_type_of(tasks.namespace, uid)
        refuse_hidden(access, agent_type or "", _what(task_id))
    return uid, False


def _filter(query: HistoryQuery, access: Access) -> PastFilter:
    try:
        labels = parse_selector(query.label_selector)
    except ValueError as error:
        raise ProblemError(
            ProblemType.INVALID, str(error), [FieldError(str(error), parameter="label_selector")]
        ) from error
    asked = frozenset(query.agent_type) or None
    if access.agent_types is not None:
        asked = access.agent_types if asked is None else asked & access.agent_types
    return PastFilter(
        agent_types=asked,
        phases=frozenset(phase.value for phase in query.phase) or None,
        labels=labels,
        since=query.since,
        until=query.until,
    )


def _there(past: Past | None) -> Past:
    if past is None:
        detail = "there is no archive: HAREBELL_ARCHIVE_URL is not set"
        raise ProblemError(ProblemType.UNAVAILABLE, detail, headers={"Retry-After": "3600"})
    return past


def _after(cursor: str | None) -> Spot | None:
    if cursor is None:
        return None
    try:
        return Spot(*decode_spot(cursor))
    except CursorError as error:
        raise ProblemError(
            ProblemType.INVALID_CURSOR, "not a cursor", [FieldError("not a cursor", parameter="cursor")]
        ) from error


def _page_answer(page: Page) -> Response:
    spot = page.follows
    cursor = encode_spot(*spot) if spot is not None else None
    return json_answer(page_body(page.items, nextCursor=cursor))


def _what(task_id: str) -> str:
    return f"Task {task_id[:253]}"


def _not_found(task_id: str) -> ProblemError:
    detail = f"there is no {_what(task_id)} in the cluster, nor in the archive"
    return ProblemError(ProblemType.NOT_FOUND, detail)
