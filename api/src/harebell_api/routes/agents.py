"""The list of agents."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from harebell_api.cache import Cache
from harebell_api.models import AgentList, AgentQuery
from harebell_api.openapi import problems
from harebell_api.permissions import Client, Scope, needs
from harebell_api.queries import agents_by_name
from harebell_api.records import AgentRecord

from .answers import json_answer, page_body


def agent_routes(agents: Cache[AgentRecord]) -> APIRouter:
    """Return the routes of agents."""
    router = APIRouter(prefix="/api/v1", tags=["agents"])

    @router.get(
        "/agents",
        operation_id="listAgents",
        summary="List agents with their resources",
        response_model=AgentList,
        responses=problems(422),
        dependencies=[needs(Scope.READ)],
    )
    async def list_agents(query: Annotated[AgentQuery, Query()], client: Client) -> Response:
        statuses = [status.value for status in query.status]
        seen = (agent for agent in agents.values() if client.sees(agent.agent_type))
        found = agents_by_name(seen, frozenset(query.agent_type), statuses)
        return json_answer(page_body(agent.body for agent in found))

    return router
