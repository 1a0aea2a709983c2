"""What waits for which agents."""

from typing import Any

from fastapi import APIRouter
from pydantic_core import to_json
from starlette.responses import Response

from harebell_api.cache import Cache
from harebell_api.models import QueueList
from harebell_api.permissions import Client, Scope, needs
from harebell_api.queues import Queues
from harebell_api.responses import fresh, problems

from .answers import freshness, json_answer


def queue_routes(queues: Queues, *caches: Cache[Any]) -> APIRouter:
    """Return the route of queues, which are read out of these caches."""
    router = APIRouter(prefix="/api/v1", tags=["queues"])

    @router.get(
        "/queues",
        operation_id="listQueues",
        summary="Show what waits for agents of each type, and who is there to take it",
        response_model=QueueList,
        responses={**fresh(tagged=False), **problems()},
        dependencies=[needs(Scope.READ)],
    )
    async def list_queues(client: Client) -> Response:
        body = to_json({"items": queues.overview(client.sees)})
        return json_answer(body, headers=freshness(caches))

    return router
