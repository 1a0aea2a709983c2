"""What waits for which agents."""

from fastapi import APIRouter
from pydantic_core import to_json
from starlette.responses import Response

from harebell_api.models import QueueList
from harebell_api.openapi import problems
from harebell_api.permissions import Client, Scope, needs
from harebell_api.queues import Queues

from .answers import json_answer


def queue_routes(queues: Queues) -> APIRouter:
    """Return the route of queues."""
    router = APIRouter(prefix="/api/v1", tags=["queues"])

    @router.get(
        "/queues",
        operation_id="listQueues",
        summary="Show what waits for agents of each type, and who is there to take it",
        response_model=QueueList,
        responses=problems(),
        dependencies=[needs(Scope.READ)],
    )
    async def list_queues(client: Client) -> Response:
        return json_answer(to_json({"items": queues.overview(client.sees)}))

    return router
