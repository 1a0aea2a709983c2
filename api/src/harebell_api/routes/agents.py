"""Agents: their list, each of them, and what they can be told."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from harebell_api.agents import Agents, Order
from harebell_api.audit import note
from harebell_api.kube import Kind
from harebell_api.models import AgentDocument, AgentList, AgentQuery
from harebell_api.permissions import Client, Scope, needs
from harebell_api.queries import agents_by_name
from harebell_api.responses import changed, fresh, problems

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
        responses={**fresh(tagged=True), **problems(422)},
        dependencies=[needs(Scope.READ)],
    )
    async def list_agents(
        query: Annotated[AgentQuery, Query()], client: Client, if_none_match: IfNoneMatch = None
    ) -> Response:
        statuses = [status.value for status in query.status]
        seen = (agent for agent in agents.cache.values() if client.sees(agent.agent_type))
        found = agents_by_name(seen, frozenset(query.agent_type), statuses)
        return read_answer(page_body(agent.body for agent in found), if_none_match, agents.cache)

    @router.get(
        "/{name}",
        operation_id="getAgent",
        summary="Show an agent",
        response_model=AgentDocument,
        responses={**fresh(tagged=True), **problems(404, 422, 503)},
        dependencies=[needs(Scope.READ)],
    )
    async def get_agent(name: AgentName, client: Client, if_none_match: IfNoneMatch = None) -> Response:
        agent = await agents.find(name, client)
        return read_answer(agent.body, if_none_match, agents.cache, version=agent.version)

    for order, summary in _ORDERS.items():
        _add_order(router, agents, order, summary)
    return router


def _add_order(router: APIRouter, agents: Agents, order: Order, summary: str) -> None:
    verb = order.name.lower()

    @router.post(
        f"/{{name}}/{verb}",
        operation_id=f"{verb}Agent",
        summary=summary,
        status_code=202,
        response_model=AgentDocument,
        responses={**changed(202, "The agent."), **problems(404, 409, 422, 503)},
        dependencies=[needs(Scope.ADMIN)],
    )
    async def tell(asked: Request, name: AgentName, client: Client) -> Response:
        note(asked, Kind.AGENTS, name)
        return changed_answer(await agents.order(name, order, client), 202)
