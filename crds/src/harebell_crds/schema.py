"""pydantic models to structural schemas.

Kubernetes accepts only structural OpenAPI v3 schemas: no ``$ref``, no ``anyOf`` that types a field, no
``const``. pydantic emits all three, so its output is normalised here; what the rules below do not know is
refused, so a model change that Kubernetes would reject fails when the manifests are generated.
Source: Kubernetes documentation, "Extend the Kubernetes API with CustomResourceDefinitions".
"""

from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_COPIED = frozenset(
    {
        "default", "description", "enum", "format", "maxItems", "maxLength", "maxProperties", "maximum",
        "minItems", "minLength", "minProperties", "minimum", "pattern", "type", "required",
        "x-kubernetes-validations", "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    }
)  # fmt: skip
_DROPPED = frozenset({"title"})


class UnsupportedSchemaError(ValueError):
    """A model uses something that a structural schema cannot say."""


class _Extension:
    """Field metadata that adds one of Kubernetes' extension keywords to the field's schema."""

    def __init__(self, **keywords: Any) -> None:
        self._keywords = {f"x-kubernetes-{k.replace('_', '-')}": v for k, v in keywords.items()}

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core), **self._keywords}


def rule(cel: str, message: str) -> _Extension:
    """Return field metadata for one ``x-kubernetes-validations`` rule."""
    return _Extension(validations=[{"rule": cel, "message": message}])


def preserve_unknown_fields() -> _Extension:
    """Return field metadata for a field whose content is not described by the schema."""
    return _Extension(preserve_unknown_fields=True)


def list_map(key: str) -> _Extension:
    """Return field metadata for a list of objects in which the API server allows each ``key`` once."""
    return _Extension(list_type="map", list_map_keys=[key])


def structural_schema(model: type[BaseModel], *, defaults: bool = True) -> dict[str, Any]:
    """Return ``model`` as a structural OpenAPI v3 schema.

    ``defaults=False`` leaves defaults out: a status holds what its writer said and nothing else.

    :raises UnsupportedSchemaError: a field has a type that such a schema cannot express.
    """
    document = model.model_json_schema(by_alias=True)
    schema = _node(document, document.pop("$defs", {}), model.__name__)
    return schema if defaults else _without_defaults(schema)


def _without_defaults(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_defaults(n) for n in node]
    if not isinstance(node, dict):
        return node
    # A property may itself be called "default"; a keyword of that name stands beside "type".
    keyword = "type" in node and not isinstance(node["type"], dict)
    return {k: _without_defaults(v) for k, v in node.items() if not (keyword and k == "default")}


def _node(raw: dict[str, Any], definitions: dict[str, Any], where: str) -> dict[str, Any]:
    """Normalise one pydantic node: resolve references, fold ``anyOf [X, null]`` into X."""
    raw = dict(raw)
    if "$ref" in raw:
        target = definitions[raw.pop("$ref").rsplit("/", 1)[-1]]
        return _node({**target, **raw}, definitions, where)
    if "allOf" in raw and len(raw["allOf"]) == 1:
        return _node({**raw.pop("allOf")[0], **raw}, definitions, where)
    if "anyOf" in raw:
        options = [o for o in raw.pop("anyOf") if o.get("type") != "null"]
        if len(options) != 1:
            if not options or any(o for o in options):
                raise UnsupportedSchemaError(f"{where}: a union of several types is not structural")
            options = [{}]
        if raw.get("default", ...) is None:
            del raw["default"]
        return _node({**options[0], **raw}, definitions, where)
    if "const" in raw:
        raw["enum"] = [raw.pop("const")]
    node: dict[str, Any] = {}
    for key, value in raw.items():
        if key in _COPIED:
            node[key] = value
        elif key == "properties":
            if not value:
                continue  # The API server drops it, and would see a conflict in another's apply.
            node[key] = {n: _node(v, definitions, f"{where}.{n}") for n, v in value.items()}
        elif key == "items":
            node[key] = _node(value, definitions, f"{where}[]")
        elif key == "additionalProperties":
            # What the values of a map are. Whether other fields are allowed is not for the schema to say.
            if isinstance(value, dict):
                node[key] = _node(value, definitions, f"{where}.*")
        elif key not in _DROPPED:
            raise UnsupportedSchemaError(f"{where}: {key} is not structural")
    if "description" in node:
        node["description"] = " ".join(str(node["description"]).split())
    if node.get("default", ...) is None:
        del node["default"]
    return node
