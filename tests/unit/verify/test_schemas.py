"""Schemas for kubeconform: as strict as the API server."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from tests.verify.schemas import of_crd, of_openapi, strict

KIND = {"group": "apps", "version": "v1", "kind": "Thing"}
DOCUMENT: dict[str, Any] = {
    "definitions": {
        "thing": {
            "type": "object",
            "properties": {"spec": {"$ref": "#/definitions/spec"}, "kind": {"type": "string"}},
            "x-kubernetes-group-version-kind": [KIND],
        },
        "spec": {
            "type": "object",
            "properties": {
                "port": {"type": "string", "format": "int-or-string"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "size": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.api.resource.Quantity"},
                "again": {"$ref": "#/definitions/spec"},
            },
        },
        "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
        "unrelated": {"type": "object"},
        "options": {"x-kubernetes-group-version-kind": [KIND, {**KIND, "group": ""}]},
    }
}


def accepts(schema: dict[str, Any], value: Any) -> bool:
    try:
        Draft202012Validator(schema).validate(value)
    except ValidationError:
        return False
    return True


def test_a_kind_is_one_file_with_all_that_it_needs() -> None:
    ((name, schema),) = of_openapi(DOCUMENT)
    assert name == "apps_thing_v1.json"
    assert schema["definitions"].keys() == {"thing", "spec", "io.k8s.apimachinery.pkg.api.resource.Quantity"}


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({"port": 80}, True),
        ({"port": "http"}, True),
        ({"labels": {"any": "name"}}, True),
        ({"labels": {"any": 1}}, False),
        ({"size": 1}, True),
        ({"size": "1Gi"}, True),
        ({"ports": 80}, False),
        ({"again": {"again": {"port": 1}}}, True),
        ({"again": {"again": {"no": 1}}}, False),
    ],
)
def test_unknown_fields_and_wrong_types_are_refused(spec: dict[str, Any], fits: bool) -> None:
    ((_, schema),) = of_openapi(DOCUMENT)
    assert accepts(schema, {"kind": "Thing", "spec": spec}) is fits


def test_the_core_group_goes_by_its_version() -> None:
    pod = {"x-kubernetes-group-version-kind": [{**KIND, "group": "", "kind": "Pod"}]}
    document = {"definitions": {"pod": pod}}
    ((name, _),) = of_openapi(document)
    assert name == "v1_pod_v1.json"


def test_a_definition_of_ours_is_as_strict_and_leaves_free_what_it_says() -> None:
    spec = {
        "type": "object",
        "properties": {
            "agentType": {"type": "string"},
            "payload": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1alpha1", "schema": {"openAPIV3Schema": schema}}
    definition = {"spec": {"group": "harebell.dev", "names": {"kind": "Task"}, "versions": [version]}}
    ((name, schema),) = of_crd(definition)
    assert name == "harebell.dev_task_v1alpha1.json"
    about = {"apiVersion": "harebell.dev/v1alpha1", "kind": "Task", "metadata": {"name": "x"}}
    assert accepts(schema, {**about, "spec": {"agentType": "text", "payload": {"any": 1}}})
    assert not accepts(schema, {**about, "spec": {"agentTyp": "text"}})


def test_each_version_of_a_definition_is_a_file() -> None:
    schema = {"openAPIV3Schema": {"type": "object", "properties": {}}}
    versions = [{"name": name, "schema": schema} for name in ("v1", "v1beta1")]
    definition = {"spec": {"group": "example.com", "names": {"kind": "Route"}, "versions": versions}}
    assert [name for name, _ in of_crd(definition)] == [
        "example.com_route_v1.json",
        "example.com_route_v1beta1.json",
    ]


def test_formats_of_openapi_are_left_out() -> None:
    assert strict({"type": "integer", "format": "int32"}) == {"type": "integer"}
