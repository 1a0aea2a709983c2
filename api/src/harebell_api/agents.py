"""What clients do with agents: find them, pause them, drain them."""

import re
from enum import Enum

from .cache import Cache
from .kube import Kind, Object, Store
from .kube_errors import ApiServerError, ApiServerUnreachableError, problem_for
from .permissions import Access, refuse_hidden
from .problems import ProblemError, ProblemType
from .records import AgentRecord, agent_record

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Order(Enum):
    """What an agent can be told: the member of its spec, and its value."""

    PAUSE = ("paused", True)
    RESUME = ("paused", False)
    DRAIN = ("drain", True)
    UNDRAIN = ("drain", False)

    def __init__(self, member: str, value: bool) -> None:
        self.member, self.wanted = member, value


class Agents:
    """The agents of one namespace: reads from the cache, writes to the API server."""

    def __init__(self, store: Store, cache: Cache[AgentRecord]) -> None:
        self._store, self.cache = store, cache

    async def find(self, name: str, access: Access) -> AgentRecord:
        """Return an agent. :raises ProblemError: there is none, as far as the client may know.

        What the cache does not have is asked of the API server: the agent may have registered just now.
        """
        found = self.cache.get(name) or await self._read(name)
        refuse_hidden(access, found.agent_type, _what(name))
        return found

    async def order(self, name: str, order: Order, access: Access) -> AgentRecord:
        """Tell an agent something; telling it again changes nothing.

        :raises ProblemError: there is no such agent, as far as the client may know.
        """
        agent = await self.find(name, access)
        # The UID is a precondition: a new Agent that took the name is not meant.
        patch = {"metadata": {"uid": agent.uid}, "spec": {order.member: order.wanted}}
        try:
            return self._remember(await self._store.patch(Kind.AGENTS, agent.name, patch))
        except (ApiServerError, ApiServerUnreachableError) as error:
            raise _problem(error, name) from error

    async def _read(self, name: str) -> AgentRecord:
        if len(name) > 253 or not _NAME.fullmatch(name):
            raise _not_found(name)
        try:
            return self._remember(await self._store.read(Kind.AGENTS, name))
        except (ApiServerError, ApiServerUnreachableError) as error:
            raise _problem(error, name) from error

    def _remember(self, agent: Object) -> AgentRecord:
        record = agent_record(agent)
        self.cache.remember(record)
        return record


def _problem(error: ApiServerError | ApiServerUnreachableError, name: str) -> ProblemError:
    if isinstance(error, ApiServerError) and error.status == 404:
        return _not_found(name)
    return problem_for(error)


def _not_found(name: str) -> ProblemError:
    return ProblemError(ProblemType.NOT_FOUND, f"there is no {_what(name)}")


def _what(name: str) -> str:
    return f"Agent {name[:253]}"
