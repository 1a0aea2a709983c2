"""The OpenAPI document: what FastAPI writes, with the security scheme and the problem documents."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .models import ProblemDocument, StreamMessage
from .problems import MEDIA_TYPE, ProblemType

PATH = "/api/v1/openapi.json"
_SCHEMAS = "#/components/schemas/"
_EVERYWHERE = (401, 500)
_DESCRIPTION = """\
Submits work to agents on Kubernetes and shows what comes of it.

Every request needs an API key: `Authorization: Bearer <key>`. Errors are RFC 9457 problem documents.

`GET /api/v1/ws?task_id=<name>` upgrades to a WebSocket that sends a `StreamMessage` at first and at each
change of the Task, and closes with code 1000 when it has finished. Other close codes: 4404 unknown Task,
4408 the client does not read, 1013 try again. Browsers give the key as a subprotocol:
`harebell.v1, bearer.<key>`.
"""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that may answer with these problems."""
    return {
        status: {
            "description": "; ".join(kind.title for kind in ProblemType if kind.status == status),
            "content": {MEDIA_TYPE: {"schema": {"$ref": _SCHEMAS + ProblemDocument.__name__}}},
        }
        for status in sorted({*statuses, *_EVERYWHERE})
    }


def not_modified() -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that answers 304 to who has the document already."""
    return {304: {"description": "It is still as the ETag in If-None-Match says."}}


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
    components["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"apiKey": []}]
    cleaned: dict[str, Any] = _without_kubernetes_keywords(document)
    return cleaned


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
