"""The OpenAPI document: what FastAPI writes, with the security scheme and the problem documents."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from .examples import EXAMPLES, Example
from .models import BatchEntry, ProblemDocument, StreamMessage
from .permissions import Needs
from .problems import MEDIA_TYPE
from .responses import SCHEMAS

PATH = "/api/v1/openapi.json"
_DESCRIPTION = """\
Submits work to agents on Kubernetes and shows what comes of it.

Every request needs an API key, or a Kubernetes token where these are taken: `Authorization: Bearer <key>`.
What a client may do depends on its scopes: `read`, `dispatch`, `cancel`, `admin`. One that is limited to some
agent types has to do with these alone: nothing else exists for it. Errors are RFC 9457 problem documents.

`GET /api/v1/ws` upgrades to a WebSocket that sends `StreamMessage`s; `GET /api/v1/events` sends the same as
server-sent events. With `task_id` they are about one Task: its state, then each change, and the end when it
has finished. Otherwise they are about the Tasks that `label_selector`, `agent_type` and `phase` choose, or
all: a `snapshot` of each, `synced`, and then what changes, without end.

Every message has a `cursor`. Given as the parameter `cursor`, or as `Last-Event-ID`, to any replica, it goes
on after that message: what changed since is told, each Task in its newest state, and nothing twice. A message
whose cursor is of no later state than the one before may come again with what follows. Where nobody knows
what was deleted since, `reset` says so: forget everything, a snapshot follows.

Close codes of the WebSocket: 1000 the Task has finished or was deleted; 1012 the API restarts, 1013 it cannot
serve the stream now: come back with the cursor; 4401 the key is not good any more; 4404 unknown Task; 4408
the client does not read. An event stream that ends for one of these reasons ends with an event `end`, which
holds the code; but with the key it ends without one, and who comes back is answered with 401. Browsers give
the key of a WebSocket as a subprotocol: `harebell.v1, bearer.<key>`.
"""


def install(app: FastAPI) -> None:
    """Have ``app`` serve this document, which is built when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def build(app: FastAPI) -> dict[str, Any]:
    """Return the document."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=_DESCRIPTION,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (ProblemDocument, StreamMessage):
        schema = model.model_json_schema(ref_template=SCHEMAS + "{model}", mode="serialization")
        schemas.update({name: part for name, part in schema.pop("$defs", {}).items() if name not in schemas})
        schemas[model.__name__] = schema
    _drop_unused_validation_errors(document)
    # Each is looked at by itself, so the request's model does not look at them, and describes them in place.
    schemas["BatchRequest"]["properties"]["tasks"]["items"] = {"$ref": SCHEMAS + BatchEntry.__name__}
    _add_examples(document)
    _say_scopes(document, app)
    _share_problems(document)
    components["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"apiKey": []}]
    cleaned: dict[str, Any] = _without_kubernetes_keywords(document)
    return cleaned


def _add_examples(document: dict[str, Any]) -> None:
    """Put the examples where they belong. :raises KeyError: an operation has none."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for name, example in EXAMPLES[operation["operationId"]].items():
                _add_example(operation, name, example)


def _say_scopes(document: dict[str, Any], app: FastAPI) -> None:
    """Say of each operation which scope it needs, as its route does."""
    for route in iter_route_contexts(app.routes):
        operations = document["paths"].get(route.path, {})
        for method in {method.lower() for method in route.methods or ()} & set(operations):
            for each in route.dependant.dependencies:
                if isinstance(each.call, Needs):
                    operations[method]["description"] = f"Needs the scope `{each.call.scope.value}`."


def _share_problems(document: dict[str, Any]) -> None:
    """Have the problems described once, and not with every operation."""
    shared = document["components"].setdefault("responses", {})
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if MEDIA_TYPE in response.get("content", {}):
                    shared[f"Problem{status}"] = response
                    operation["responses"][status] = {"$ref": f"#/components/responses/Problem{status}"}


def _add_example(operation: dict[str, Any], name: str, example: Example) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["name"] in example.parameters:
            value = {"value": example.parameters[parameter["name"]]}
            parameter.setdefault("examples", {})[name] = value
    if example.body is not None:
        content = operation["requestBody"]["content"]["application/json"]
        content.setdefault("examples", {})[name] = {"value": example.body}
    if example.answer is not None:
        (content,) = operation["responses"][str(example.status)]["content"].values()
        content.setdefault("examples", {})[name] = {"value": example.answer}


def _drop_unused_validation_errors(document: dict[str, Any]) -> None:
    """Take out FastAPI's own description of a 422, which it gives to routes that never answer with one."""
    for path in document["paths"].values():
        for operation in path.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for schema in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(schema, None)


def _without_kubernetes_keywords(node: Any) -> Any:
    """Return ``node`` without what only a CustomResourceDefinition's schema is to hold."""
    if isinstance(node, dict):
        return {
            key: _without_kubernetes_keywords(value)
            for key, value in node.items()
            if not key.startswith("x-kubernetes-")
        }
    if isinstance(node, list):
        return [_without_kubernetes_keywords(value) for value in node]
    return node
