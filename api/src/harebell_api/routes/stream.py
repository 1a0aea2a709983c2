"""The WebSocket."""

from fastapi import APIRouter
from starlette.websockets import WebSocket

from harebell_api.permissions import Scope, needs
from harebell_api.problems import FieldError, Problem, ProblemType
from harebell_api.stream import Streams


def stream_routes(streams: Streams) -> APIRouter:
    """Return the routes of the WebSocket."""
    router = APIRouter(prefix="/api/v1", dependencies=[needs(Scope.READ)])

    @router.websocket("/ws")
    async def by_query(socket: WebSocket) -> None:
        task_id = socket.query_params.get("task_id")
        if task_id:
            await streams.serve(socket, task_id)
            return
        missing = FieldError("name the Task to follow", parameter="task_id")
        problem = Problem(ProblemType.INVALID, "task_id is missing", (missing,))
        await socket.send_denial_response(problem.to_response(socket.url.path))

    @router.websocket("/ws/{task_id}")
    async def by_path(socket: WebSocket, task_id: str) -> None:
        await streams.serve(socket, task_id)

    return router
