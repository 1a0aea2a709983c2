"""What waits for which agents."""

from typing import Any

from fastapi import APIRouter
from pydantic_core import to_json
from starlette.responses import Response

from harebell_api.cache import Cache
from harebell_api.models import QueueList
from harebell_api.openapi import not_modified, problems
from harebell_api.queues import Queues

from .answers import read_answer
from .parameters import IfNoneMatch


def queue_routes(queues: Queues, *caches: Cache[Any]) -> APIRouter:
    """Return the route of queues, which are read out of these caches."""
    router = APIRouter(prefix="/api/v1", tags=["queues"])

    @router.get(
        "/queues",
        operation_id="listQueues",
        summary="Show what waits for agents of each type, and who is there to take it",
        response_model=QueueList,
        responses={**not_modified(), **problems(422)},
    )
    async def list_queues(if_none_match: IfNoneMatch = None) -> Response:
        return read_answer(to_json({"items": queues.overview()}), if_none_match, *caches)

    return router
