"""Who asks, and what they may: what every route looks at before it answers.

A client has scopes, and may be limited to some agent types. Limits narrow what is seen as well as what may be
done: a Task or Agent of a type that a client may not use does not exist for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from harebell_crds.keys import Scope

from .problems import FieldError, ProblemError, ProblemType

__all__ = [
    "Access",
    "Client",
    "Needs",
    "Scope",
    "access_of",
    "client_of",
    "grant",
    "needs",
    "refuse_hidden",
    "refuse_type",
    "refuse_without",
]

_SCOPE_KEY = "harebell.access"


@dataclass(frozen=True)
class Access:
    """A client that has shown who it is. ``agent_types`` None: of every type."""

    client: str
    scopes: frozenset[Scope]
    agent_types: frozenset[str] | None = None
    key_id: str | None = None
    """Of the API key that was shown; None: Kubernetes vouches for the client."""

    def may(self, scope: Scope) -> bool:
        """Whether it has the scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def sees(self, agent_type: str) -> bool:
        """Whether what has to do with this agent type exists for it."""
        return self.agent_types is None or agent_type in self.agent_types


def grant(connection: HTTPConnection, access: Access) -> None:
    """Note who sent a request; for the one who checked it."""
    connection.scope[_SCOPE_KEY] = access


def access_of(connection: HTTPConnection) -> Access:
    """Return who sent a request."""
    access = connection.scope[_SCOPE_KEY]
    assert isinstance(access, Access)
    return access


Client = Annotated[Access, Depends(access_of)]
"""A parameter of a route: who sent the request."""


@dataclass(frozen=True)
class Needs:
    """The dependency of a route that only clients with the scope may use."""

    scope: Scope

    def __call__(self, connection: HTTPConnection) -> None:
        """:raises ProblemError: the client has not the scope."""
        refuse_without(access_of(connection), self.scope)


def needs(scope: Scope) -> Any:
    """Return the dependency of a route or WebSocket that only clients with the scope may use.

    Meant for ``APIRouter`` and route decorators: ``dependencies=[needs(Scope.READ)]``.
    """
    return Depends(Needs(scope))


def refuse_without(access: Access, scope: Scope) -> None:
    """:raises ProblemError: the client has not the scope."""
    if not access.may(scope):
        # RFC 6750, section 3.1
        challenge = f'Bearer realm="harebell", error="insufficient_scope", scope="{scope.value}"'
        detail = f"{access.client} has not the scope {scope.value}"
        raise ProblemError(ProblemType.SCOPE_NEEDED, detail, headers={"WWW-Authenticate": challenge})


def refuse_hidden(access: Access, agent_type: str, what: str) -> None:
    """:raises ProblemError: as where there is no ``what``, for it has to do with a type of others."""
    if not access.sees(agent_type):
        raise ProblemError(ProblemType.NOT_FOUND, f"there is no {what}")


def refuse_type(access: Access, agent_type: str, pointer: str) -> None:
    """:raises ProblemError: the client has nothing to do with this agent type, which ``pointer`` asks for."""
    if not access.sees(agent_type):
        detail = f"{access.client} has nothing to do with agentType {agent_type}"
        raise ProblemError(ProblemType.SCOPE_NEEDED, detail, [FieldError(detail, pointer=pointer)])


def client_of(scope: Mapping[str, object]) -> Access | None:
    """Return who sent a request, or None: that was not checked."""
    access = scope.get(_SCOPE_KEY)
    return access if isinstance(access, Access) else None
