"""Models to structural schemas."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from harebell_crds.generate import RESOURCES, crd
from harebell_crds.model import Model
from harebell_crds.schema import UnsupportedSchemaError, structural_schema
from harebell_crds.task import TRANSITIONS, TaskPhase, TaskSpec, TaskStatus

FORBIDDEN = {"$ref", "anyOf", "allOf", "oneOf", "const", "title"}


def keywords(node: Any) -> set[str]:
    """Every schema keyword in a schema, leaving out the names of properties."""
    if isinstance(node, list):
        return set().union(*map(keywords, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = set(node)
    for key, value in node.items():
        found |= set().union(*map(keywords, value.values())) if key == "properties" else keywords(value)
    return found


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.kind)
def test_the_crds_are_structural(resource: Any) -> None:
    schema = crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert not keywords(schema) & FORBIDDEN


def test_every_spec_field_is_described() -> None:
    for resource in RESOURCES:
        for model in (resource.spec, resource.status):
            schema = structural_schema(model)
            described = schema.get("properties", {})
            assert [n for n, p in described.items() if not p.get("description")] == []


def test_a_constant_becomes_an_enum() -> None:
    class Fixed(BaseModel):
        kind: Literal["a"]

    assert structural_schema(Fixed)["properties"]["kind"]["enum"] == ["a"]


def test_a_map_of_texts_says_so_and_a_free_object_says_nothing() -> None:
    class Maps(BaseModel):
        labels: dict[str, str]
        free: dict[str, Any]

    properties = structural_schema(Maps)["properties"]
    assert properties["labels"]["additionalProperties"] == {"type": "string"}
    assert "additionalProperties" not in properties["free"]


def test_what_the_api_server_would_drop_is_not_said() -> None:
    class Empty(BaseModel):
        pass

    assert structural_schema(Empty) == {"type": "object"}


def test_what_cannot_be_said_is_refused() -> None:
    class Either(BaseModel):
        value: int | str

    with pytest.raises(UnsupportedSchemaError, match=r"Either\.value"):
        structural_schema(Either)


def test_terminal_phases_are_final_and_reachable() -> None:
    terminal = {p for p in TaskPhase if p.terminal}
    assert terminal == {TaskPhase.SUCCEEDED, TaskPhase.FAILED, TaskPhase.CANCELLED, TaskPhase.DEAD_LETTERED}
    for phase in set(TaskPhase) - terminal:
        assert terminal <= TRANSITIONS[phase]


def test_nulls_of_the_users_own_are_kept() -> None:
    spec = TaskSpec(agent_type="t", action="a", payload={"empty": None, "deep": [{"x": None}]})
    assert spec.to_wire()["payload"] == {"empty": None, "deep": [{"x": None}]}
    assert TaskStatus(result={"n": None}).to_wire()["result"] == {"n": None}
    assert "cancel" not in spec.to_wire()


def test_a_newer_field_is_ignored() -> None:
    class Known(Model):
        some_name: int = 0

    assert Known.model_validate({"someName": 3, "addedLater": True}).some_name == 3
