"""JSON Schemas for kubeconform: Kubernetes' own from the OpenAPI document of its Go module, ours from crds/,
those of other projects from the definitions in their Go modules.

All refuse unknown fields, so that a slip in a template does not pass as a field of no effect.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from tests.cluster import golang
from tests.cluster.keys import digest, publish
from tests.cluster.paths import REPOSITORY, cache
from tests.cluster.versions import FOREIGN_DEFINITIONS, KUBERNETES

_KIND = "x-kubernetes-group-version-kind"
_FREE = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_NUMBER_OR_STRING = {"anyOf": [{"type": "string"}, {"type": "number"}]}
LOCATION = "{{.Group}}_{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"
"""Names of the files, as kubeconform makes them from a resource."""


def ensure() -> Path:
    """Return the folder of the schemas, made first where the cache lacks it."""
    definitions = sorted((REPOSITORY / "crds").glob("*.yaml"))
    inputs = [Path(__file__), *definitions]
    versions = [KUBERNETES, repr(FOREIGN_DEFINITIONS)]
    folder = cache() / f"schemas-{digest([*versions, *(each.read_bytes() for each in inputs)])}"

    def make(new: Path) -> None:
        module = golang.module_folder("k8s.io/kubernetes", KUBERNETES)
        document = json.loads((module / "api/openapi-spec/swagger.json").read_text())
        for name, schema in of_openapi(document):
            (new / name).write_text(json.dumps(schema))
        for each in [*definitions, *_foreign()]:
            for name, schema in of_crd(yaml.safe_load(each.read_text())):
                (new / name).write_text(json.dumps(schema))

    return publish(folder, make)


def _foreign() -> Iterator[Path]:
    for module, version, files in FOREIGN_DEFINITIONS:
        folder = golang.module_folder(module, version)
        yield from (folder / file for file in files)


def of_openapi(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return a schema for every kind of an OpenAPI document, each whole, with its file's name."""
    definitions = {name: strict(schema) for name, schema in document["definitions"].items()}
    definitions[_QUANTITY] = _NUMBER_OR_STRING
    found = []
    for name, schema in document["definitions"].items():
        # Kinds that are of every group, such as DeleteOptions, are not in manifests.
        if len(schema.get(_KIND, [])) == 1:
            (kind,), needed = schema[_KIND], _closure(definitions, name)
            whole = {"$ref": f"#/definitions/{name}", "definitions": {n: definitions[n] for n in needed}}
            found.append((_file(kind["group"], kind["kind"], kind["version"]), whole))
    return found


def of_crd(definition: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return a schema for every version of a CustomResourceDefinition, with its file's name."""
    spec = definition["spec"]
    free = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    found = []
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"] = {**schema["properties"], **free}
        found.append((_file(spec["group"], spec["names"]["kind"], version["name"]), schema))
    return found


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that refuses fields it does not describe, and takes numbers where Kubernetes does."""
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return dict(_NUMBER_OR_STRING)
    kept = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    # OpenAPI has formats that are not JSON Schema's.
    kept.pop("format", None)
    if "properties" in schema:
        kept["properties"] = {name: strict(each) for name, each in schema["properties"].items()}
        if "additionalProperties" not in schema and not any(schema.get(mark) for mark in _FREE):
            kept["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            kept[key] = strict(schema[key])
    return kept


def _file(group: str, kind: str, version: str) -> str:
    # kubeconform calls the core group by its version.
    group = group or version
    return f"{group}_{kind.lower()}_{version}.json"


def _closure(definitions: dict[str, Any], name: str) -> set[str]:
    """Return the names of all definitions that one needs."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        here = ahead.pop()
        if here not in found:
            found.add(here)
            ahead += _references(definitions[here])
    return found


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for each in node for name in _references(each)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].rsplit("/", 1)[-1]] if isinstance(node.get("$ref"), str) else []
    return own + [name for value in node.values() for name in _references(value)]
