"""Which of the API's routes ask for a scope, as its application says."""

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from harebell_api import openapi
from harebell_api.permissions import Needs, Scope
from harebell_api.routes import probes

FOR_EVERY_CLIENT = frozenset({openapi.PATH})
"""What the API is, which everybody may know who is let in."""


def scopes_by_route(app: FastAPI) -> dict[str, set[Scope]]:
    """What each route asks for that is not for everybody, by method (``*``: it has none) and path.

    A mount is one that asks for nothing.
    """
    return {
        f"{method} {route.path or '?'}": {
            each.call.scope for each in dependant.dependencies if isinstance(each.call, Needs)
        }
        if (dependant := getattr(route, "dependant", None))
        else set()
        for route in iter_route_contexts(app.routes)
        for method in sorted((route.methods or {"*"}) - {"HEAD"})
        if route.path not in probes.PATHS | FOR_EVERY_CLIENT
    }


def unprotected(app: FastAPI) -> list[str]:
    """The routes that anybody may use who is let in, though they are not meant for everybody."""
    return [route for route, scopes in scopes_by_route(app).items() if not scopes]
