"""The schema of the values: JSON Schema 2020-12, which Helm applies before it renders anything."""

from typing import Any

from .models import Values
from .types import Command, EnvironmentVariable, IngressTls, Peer, SecretName

_SHARED = {model.__name__ for model in (Command, EnvironmentVariable, IngressTls, Peer, SecretName)}
"""Models that mean the same wherever they stand; others are written out, with explanations of their own."""
_DROPPED = ("title", "default")
_POOL = "agents.*"
_DEFAULTS_OF = {_POOL: "agentDefaults", f"{_POOL}.type": "agents.infra.type"}
"""Whose explanations a pool takes, which stands in values.yaml by examples only."""


class UnexplainedError(ValueError):
    """A value has an explanation neither in values.yaml nor in its model."""


def values_schema(explanations: dict[str, str]) -> dict[str, Any]:
    """Return the schema, with the explanations that :func:`.comments.descriptions` found.

    :raises UnexplainedError: a value has none; the message names it by its path.
    """
    document = Values.model_json_schema(by_alias=True)
    definitions = document.pop("$defs")
    schema = _node(document, definitions, explanations, "")
    shared = {name: _node(definitions[name], definitions, {}, f"({name})") for name in sorted(_SHARED)}
    title = document.get("description", "")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **{key: value for key, value in schema.items() if key != "description"},
        "$defs": shared,
    }


def _node(raw: Any, definitions: dict[str, Any], explanations: dict[str, str], path: str) -> Any:
    if isinstance(raw, list):
        return [_node(each, definitions, explanations, path) for each in raw]
    if not isinstance(raw, dict):
        return raw
    reference = str(raw.get("$ref", "")).rsplit("/", 1)[-1]
    if reference in _SHARED:
        return {"$ref": raw["$ref"]}
    if reference:
        more = {key: value for key, value in raw.items() if key != "$ref"}
        return _node({**definitions[reference], **more}, definitions, explanations, path)
    node = {key: value for key, value in raw.items() if key not in _DROPPED}
    names = node.pop("patternProperties", None)
    if names:
        # As it stands it would let any other name pass.
        ((pattern, values),) = names.items()
        node["propertyNames"] = {"pattern": pattern, **node.get("propertyNames", {})}
        node["additionalProperties"] = values
        path = f"{path}.*"
    properties = node.pop("properties", None)
    if node.get("additionalProperties") is True:
        del node["additionalProperties"]
    node = {key: _node(value, definitions, explanations, path) for key, value in node.items()}
    if properties:
        prefix = f"{path}." if path else ""
        node["properties"] = {
            name: _property(value, definitions, explanations, prefix + name)
            for name, value in properties.items()
        }
    return node


def _property(
    raw: dict[str, Any], definitions: dict[str, Any], explanations: dict[str, str], path: str
) -> dict[str, Any]:
    node = _node(raw, definitions, explanations, path)
    own = raw.get("description") or node.pop("description", None)
    said = explanations.get(path) or explanations.get(_elsewhere(path)) or own
    if not said:
        raise UnexplainedError(f"{path} is explained neither in values.yaml nor in its model")
    return {**node, "description": said.replace("``", "`")}


def _elsewhere(path: str) -> str:
    if path in _DEFAULTS_OF:
        return _DEFAULTS_OF[path]
    return path.replace(_POOL, _DEFAULTS_OF[_POOL]) if path.startswith(f"{_POOL}.") else path
