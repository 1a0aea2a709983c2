"""The OpenAPI document: what FastAPI writes, with the security scheme and the problem documents."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .examples import EXAMPLES, Example
from .models import BatchEntry, ProblemDocument, StreamMessage
from .problems import MEDIA_TYPE, Problem, ProblemType

PATH = "/api/v1/openapi.json"
_SCHEMAS = "#/components/schemas/"
_EVERYWHERE = (401, 403, 414, 431, 500)
_READ_HEADERS = {
    "ETag": "Changes with the document; for If-None-Match, and for If-Match where the document is a Task's.",
    "Age": "Seconds since the watch of the Kubernetes API server last showed that it works: the answer may be"
    " so old. Absent before everything was listed for the first time.",
    "Harebell-Resource-Version": "Resource version up to which the answer holds everything.",
}
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


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that may answer with these problems."""
    return {
        status: {
            "description": "; ".join(kind.title for kind in _kinds(status)),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": _SCHEMAS + ProblemDocument.__name__},
                    "examples": {kind.slug: {"value": _problem(kind)} for kind in _kinds(status)},
                }
            },
        }
        for status in sorted({*statuses, *_EVERYWHERE})
    }


def _kinds(status: int) -> list[ProblemType]:
    return [kind for kind in ProblemType if kind.status == status]


def _problem(kind: ProblemType) -> dict[str, Any]:
    """Return an example: what is wrong in particular is in ``detail``, and differs."""
    return Problem(kind, f"{kind.title}: what exactly is said here").document("/api/v1/...")


def fresh(*, tagged: bool) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that reads the caches; ``tagged``: it knows ``If-None-Match``."""
    headers = {
        name: {"description": text, "schema": {"type": "integer" if name == "Age" else "string"}}
        for name, text in _READ_HEADERS.items()
        if tagged or name != "ETag"
    }
    answers: dict[int | str, dict[str, Any]] = {200: {"description": "As it is now.", "headers": headers}}
    if tagged:
        answers[304] = {"description": "The client has it already: it is as If-None-Match says."}
    return answers


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
        schema = model.model_json_schema(ref_template=_SCHEMAS + "{model}", mode="serialization")
        schemas.update({name: part for name, part in schema.pop("$defs", {}).items() if name not in schemas})
        schemas[model.__name__] = schema
    _drop_unused_validation_errors(document)
    # Each is looked at by itself, so the request's model does not look at them, and describes them in place.
    schemas["BatchRequest"]["properties"]["tasks"]["items"] = {"$ref": _SCHEMAS + BatchEntry.__name__}
    _add_examples(document)
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
