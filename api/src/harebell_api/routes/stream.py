"""Streams of Tasks, over a WebSocket or as server-sent events."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import ValidationError
from starlette.responses import Response
from starlette.websockets import WebSocket

from harebell_api.events import MEDIA_TYPE, EventStreams
from harebell_api.feed.wanted import wanted_of
from harebell_api.handlers import validation_problem
from harebell_api.models import StreamQuery
from harebell_api.permissions import Access, Client, Scope, needs
from harebell_api.problems import ProblemError
from harebell_api.responses import problems
from harebell_api.stream import WebSockets

_LISTS = ("agent_type", "phase")
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events: `data` is a `StreamMessage`, `event` its type, `id` its cursor.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    },
    204: {"description": "The Task has ended, and the cursor says that the client knows."},
}


def stream_routes(sockets: WebSockets, events: EventStreams, namespace: str) -> APIRouter:
    """Return the routes of streams."""
    router = APIRouter(prefix="/api/v1", tags=["streams"], dependencies=[needs(Scope.READ)])

    @router.websocket("/ws")
    async def by_query(socket: WebSocket, client: Client) -> None:
        await serve(socket, client)

    @router.websocket("/ws/{task_id}")
    async def by_path(socket: WebSocket, task_id: str, client: Client) -> None:
        await serve(socket, client, task_id=task_id)

    async def serve(socket: WebSocket, client: Access, **named: str) -> None:
        await sockets.serve(socket, wanted_of(_query(socket, **named), client, namespace))

    @router.get(
        "/events",
        operation_id="followTasks",
        summary="Follow Tasks, as server-sent events",
        response_class=Response,
        responses={**_EVENTS, **problems(400, 404, 422, 503)},
    )
    async def events_of(
        query: Annotated[StreamQuery, Query()],
        client: Client,
        last_event_id: Annotated[
            str | None, Header(max_length=1024, description="The last cursor; counts for more than `cursor`.")
        ] = None,
    ) -> Response:
        return await events.answer(wanted_of(query, client, namespace, last_event_id))

    return router


def _query(socket: WebSocket, **named: str) -> StreamQuery:
    """Return the parameters of a handshake. :raises ProblemError: one is wrong."""
    given = socket.query_params
    found = {name: given.getlist(name) if name in _LISTS else given[name] for name in given}
    try:
        return StreamQuery.model_validate({**found, **named})
    except ValidationError as error:
        wrong = [{**one, "loc": ("query", *one["loc"])} for one in error.errors()]
        raise ProblemError.of(validation_problem(wrong, "")) from error
