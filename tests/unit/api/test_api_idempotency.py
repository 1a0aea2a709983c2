from typing import Any

import pytest

from harebell_api.idempotency import IdempotencyKeyError, hash_key, parse_key, same_request
from harebell_api.models import DispatchRequest
from harebell_api.permissions import Access
from harebell_api.tasks import task_manifest


@pytest.mark.parametrize(
    ("header", "key"),
    [("abc", "abc"), ('"abc"', "abc"), (" abc ", "abc"), ('"', '"'), ("a b", "a b"), ("x" * 255, "x" * 255)],
)
def test_keys(header: str, key: str) -> None:
    assert parse_key(header) == key


@pytest.mark.parametrize("header", ["", '""', "x" * 256, "\u00e4", "a\tb"])
def test_unusable_keys(header: str) -> None:
    with pytest.raises(IdempotencyKeyError):
        parse_key(header)


def test_hashes_fit_names_and_tell_apart() -> None:
    hashes = {hash_key(n, k) for n, k in [("a", "bc"), ("ab", "c"), ("a", "b"), ("a", "bc ")]}
    assert len(hashes) == 4
    assert hash_key("a", "bc") == hash_key("a", "bc")
    assert all(len(h) == 32 and h.isalnum() for h in hashes)


BASE: dict[str, Any] = {"agentType": "text", "action": "echo"}
HASH = hash_key("ns", "k")


@pytest.mark.parametrize(
    ("asked", "stored", "same"),
    [
        (BASE, BASE, True),
        (BASE, {**BASE, "priority": "normal", "ttlSecondsAfterFinished": 604800}, True),
        (BASE, {**BASE, "retryPolicy": {"maxRetries": 3, "backoff": {"factor": 2}}}, True),
        (BASE, {**BASE, "cancel": "Immediate"}, True),
        (BASE, {**BASE, "idempotencyKey": "k"}, True),
        (BASE, {**BASE, "payload": {}}, True),
        ({**BASE, "payload": {"a": 1, "b": None}}, {**BASE, "payload": {"b": None, "a": 1}}, True),
        ({**BASE, "payload": {"a": 1}}, {**BASE, "payload": {"a": 2}}, False),
        ({**BASE, "payload": {"a": None}}, {**BASE, "payload": {}}, False),
        ({**BASE, "priority": "high"}, BASE, False),
        ({**BASE, "queueDeadlineSeconds": 5}, BASE, False),
    ],
)
def test_same_request(asked: dict[str, Any], stored: dict[str, Any], same: bool) -> None:
    assert same_request(asked, stored) is same


@pytest.mark.parametrize(
    ("names", "key", "metadata"),
    [
        ({}, None, {"generateName": "task-", "labels": {}}),
        ({"generateName": "x-"}, None, {"generateName": "x-", "labels": {}}),
        ({"name": "n"}, None, {"name": "n", "labels": {}}),
        ({}, "k", {"name": f"task-{HASH}", "labels": {}}),
        ({"generateName": "x-"}, "k", {"name": f"x-{HASH}", "labels": {}}),
        ({"name": "n"}, "k", {"name": "n", "labels": {}}),
        ({"labels": {"a": "b"}}, None, {"generateName": "task-", "labels": {"a": "b"}}),
    ],
)
def test_names(names: dict[str, Any], key: str | None, metadata: dict[str, Any]) -> None:
    request = DispatchRequest.model_validate({**BASE, **names})
    manifest = task_manifest(request, "ns", key, Access("ci", frozenset()))
    assert manifest["metadata"] == {**metadata, "annotations": {"harebell.dev/dispatched-by": "ci"}}
    assert manifest["spec"].get("idempotencyKey") == key
