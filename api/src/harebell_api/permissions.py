"""Who asks, and what they may: what every route looks at before it answers.

A client has scopes, and may be limited to some agent types. Limits narrow what is seen as well as what may be
done: a Task or Agent of a type that a client may not use does not exist for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from .problems import ProblemError, ProblemType

_SCOPE_KEY = "harebell.access"


class Scope(StrEnum):
    """What a client may do. None includes another but ``admin``, which includes all."""

    READ = "read"
    """See Tasks, agents, queues and announcements."""
    DISPATCH = "dispatch"
    """Make Tasks, and do unsuccessful ones again."""
    CANCEL = "cancel"
    """Cancel Tasks, suspend and resume them, and change their priority."""
    ADMIN = "admin"
    """Everything: also pause and drain agents, and make announcements."""


@dataclass(frozen=True)
class Access:
    """A client that has shown who it is. ``agent_types`` None: of every type."""

    client: str
    scopes: frozenset[Scope]
    agent_types: frozenset[str] | None = None

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


def needs(scope: Scope) -> Any:
    """Return the dependency of a route that only clients with the scope may use.

    Meant for ``APIRouter`` and route decorators: ``dependencies=[needs(Scope.READ)]``.
    """

    def check(request: Request) -> None:
        refuse_without(access_of(request), scope)

    return Depends(check)


def refuse_without(access: Access, scope: Scope) -> None:
    """:raises ProblemError: the client has not the scope."""
    if not access.may(scope):
        raise ProblemError(ProblemType.SCOPE_NEEDED, f"{access.client} has not the scope {scope.value}")


def client_of(scope: Mapping[str, object]) -> str | None:
    """Return who sent a request, or None: that was not checked."""
    access = scope.get(_SCOPE_KEY)
    return access.client if isinstance(access, Access) else None
