"""The OpenAPI document of the checkout, and what its schemas say of a value."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
_BASE = "urn:openapi"
_REGISTRY: "Registry[Any]" = Registry().with_resource(_BASE, DRAFT202012.create_resource(DOCUMENT))


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every operation's method, path and description."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def validate(value: Any, schema: Any) -> None:
    """Hold a value against a schema of the document. :raises jsonschema.ValidationError: it does not fit."""
    # References are relative to the document.
    whole = json.loads(json.dumps(schema).replace('"#/', f'"{_BASE}#/'))
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(whole, registry=_REGISTRY, format_checker=checker).validate(value)


def validate_answer(method: str, path: str, status: int, document: Any) -> None:
    """Hold an answer against what the document says of it. :raises KeyError: nothing."""
    response = DOCUMENT["paths"][path][method.lower()]["responses"][str(status)]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    (content,) = response["content"].values()
    validate(document, content["schema"])
