"""What a dispatch request may say."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from harebell_api.models import CancelRequest, DispatchRequest
from harebell_crds.task import TaskSpec

BASE: dict[str, Any] = {"agentType": "text", "action": "echo"}


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"agentTyp": "x"}, ("agentTyp",)),
        ({"agent_type": "x"}, ("agent_type",)),
        ({"retryPolicy": {"maxRetry": 1}}, ("retryPolicy", "maxRetry")),
        ({"retryPolicy": {"backoff": {"faktor": 1}}}, ("retryPolicy", "backoff", "faktor")),
        ({"agentType": "Upper"}, ("agentType",)),
        ({"agentType": ""}, ("agentType",)),
        ({"action": "1x"}, ("action",)),
        ({"priority": "urgent"}, ("priority",)),
        ({"payload": [1]}, ("payload",)),
        ({"payload": {"a": math.nan}}, ("payload",)),
        ({"payload": {"a": [math.inf]}}, ("payload",)),
        ({"payload": {"a": [2**63]}}, ("payload",)),
        ({"payload": {"a": -(2**63) - 1}}, ("payload",)),
        ({"payload": {"a": "\ud800"}}, ("payload",)),
        ({"queueDeadlineSeconds": 0}, ("queueDeadlineSeconds",)),
        ({"activeDeadlineSeconds": 2**31}, ("activeDeadlineSeconds",)),
        ({"ttlSecondsAfterFinished": -1}, ("ttlSecondsAfterFinished",)),
        ({"cancel": "Graceful"}, ("cancel",)),
        ({"name": "Upper"}, ("name",)),
        ({"name": "a..b"}, ("name",)),
        ({"name": "a" * 254}, ("name",)),
        ({"generateName": "-a"}, ("generateName",)),
        ({"name": "a", "generateName": "a"}, ()),
        ({"labels": {"harebell.dev/x": "y"}}, ("labels",)),
        ({"labels": {"sub.harebell.dev/x": "y"}}, ("labels",)),
        ({"labels": {"a": 1}}, ("labels", "a")),
        ({"dependsOn": [{"name": "Upper"}]}, ("dependsOn", 0, "name")),
        ({"dependsOn": [{"name": "a", "conditon": "Finished"}]}, ("dependsOn", 0, "conditon")),
        ({"dependsOn": [{"name": "a", "condition": "Started"}]}, ("dependsOn", 0, "condition")),
        ({"dependsOn": [{"name": "a"}, {"name": "a", "condition": "Finished"}]}, ("dependsOn",)),
        ({"dependsOn": [{"name": f"a{n}"} for n in range(51)]}, ("dependsOn",)),
        ({"dependsOn": ["a"]}, ("dependsOn", 0)),
        ({"name": "a", "dependsOn": [{"name": "a"}]}, ()),
    ],
)
def test_refused(changed: dict[str, Any], place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        DispatchRequest.model_validate({**BASE, **changed})
    assert [error["loc"] for error in caught.value.errors()] == [place]


def test_a_spec_is_what_kubernetes_stores() -> None:
    request = DispatchRequest.model_validate(
        {
            **BASE,
            "payload": {"null": None, "nested": {"null": None}, "snake_case": 1.5},
            "priority": "high",
            "retryPolicy": {"maxRetries": 0, "backoff": {"factor": 3}},
            "activeDeadlineSeconds": 5,
            "suspend": True,
            "dependsOn": [{"name": "a"}, {"name": "b", "condition": "Finished"}],
            "name": "n",
            "labels": {"notharebell.dev/a": "b"},
        }
    )
    assert request.spec() == {
        "agentType": "text",
        "action": "echo",
        "payload": {"null": None, "nested": {"null": None}, "snake_case": 1.5},
        "priority": "high",
        "retryPolicy": {"maxRetries": 0, "backoff": {"initialSeconds": 1, "factor": 3, "maxSeconds": 300}},
        "dependsOn": [{"name": "a", "condition": "Succeeded"}, {"name": "b", "condition": "Finished"}],
        "onInterruption": "Auto",
        "activeDeadlineSeconds": 5,
        "suspend": True,
        "ttlSecondsAfterFinished": 604800,
    }
    TaskSpec.model_validate(request.spec())


def test_every_object_in_a_request_refuses_unknown_members() -> None:
    free = {"payload", "labels"}
    for model in (DispatchRequest, CancelRequest):
        for where, schema in _objects(model.model_json_schema()):
            assert where in free or schema.get("additionalProperties") is False, where


def _objects(node: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield where, node
        for key, value in node.items():
            if key not in ("examples", "default"):
                yield from _objects(value, key)


def test_no_field_of_a_spec_is_missing() -> None:
    offered = set(DispatchRequest.model_json_schema()["properties"])
    spec = {field.alias for field in TaskSpec.model_fields.values()}
    assert spec - offered == {"cancel", "replayOf", "idempotencyKey"}


def test_examples_are_valid() -> None:
    for model in (DispatchRequest, CancelRequest):
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)


def test_cancel_defaults_to_graceful() -> None:
    assert CancelRequest().mode == "Graceful"
