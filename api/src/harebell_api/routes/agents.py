"""Agents: their list, each of them, and what they can be told."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from harebell_api.agents import Agents, Order
from harebell_api.models import AgentDocument, AgentList, AgentQuery
from harebell_api.openapi import fresh, problems
from harebell_api.permissions import Scope, access_of, needs
from harebell_api.queries import agents_by_name

from .answers import changed_answer, page_body, read_answer
from .parameters import AgentName, IfNoneMatch

_ORDERS: dict[Order, str] = {
    Order.PAUSE: "Let an agent finish what it does and take nothing new",
    Order.RESUME: "Let a paused agent take work again",
    Order.DRAIN: "As pause, for an agent that is to go; its condition Drained says when it has finished",
    Order.UNDRAIN: "Let a drained agent take work again",
}


def agent_routes(agents: Agents) -> APIRouter:
    """Return the routes of agents."""
    router = APIRouter(prefix="/api/v1/agents", tags=["agents"])

    @router.get(
        "",
        operation_id="listAgents",
        summary="List agents with their resources",
        response_model=AgentList,
        responses={**fresh(tagged=True), **problems(403, 422)},
        dependencies=[needs(Scope.READ)],
    )
    async def list_agents(
        request: Request, query: Annotated[AgentQuery, Query()], if_none_match: IfNoneMatch = None
    ) -> Response:
        access, statuses = access_of(request), [status.value for status in query.status]
        found = agents_by_name(agents.cache.values(), frozenset(query.agent_type), statuses)
        body = page_body(agent.body for agent in found if access.sees(agent.agent_type))
        return read_answer(body, if_none_match, agents.cache)

    @router.get(
        "/{name}",
        operation_id="getAgent",
        summary="Show an agent",
        response_model=AgentDocument,
        responses={**fresh(tagged=True), **problems(403, 404, 422, 503)},
        dependencies=[needs(Scope.READ)],
    )
    async def get_agent(request: Request, name: AgentName, if_none_match: IfNoneMatch = None) -> Response:
        agent = await agents.find(name, access_of(request))
        return read_answer(agent.body, if_none_match, agents.cache, version=agent.version)

    for order, summary in _ORDERS.items():
        _add_order(router, agents, order, summary)
    return router


def _add_order(router: APIRouter, agents: Agents, order: Order, summary: str) -> None:
    verb = order.name.lower()
    responses: dict[int | str, dict[str, Any]] = {
        202: {"description": "The agent."},
        **problems(403, 404, 409, 422, 503),
    }

    @router.post(
        f"/{{name}}/{verb}",
        operation_id=f"{verb}Agent",
        summary=summary,
        status_code=202,
        response_model=AgentDocument,
        responses=responses,
        dependencies=[needs(Scope.ADMIN)],
    )
    async def tell(request: Request, name: AgentName) -> Response:
        return changed_answer(await agents.order(name, order, access_of(request)), 202)
