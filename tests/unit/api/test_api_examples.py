"""Every example of the OpenAPI document, sent as it is there; requests and answers against their schemas."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient
from tests.support.openapi import DOCUMENT, operations, validate

from harebell_api.app import Dependencies
from harebell_api.examples import EXAMPLES, Example
from harebell_api.past import Page
from harebell_api.records import agent_record, announcement_record, task_record
from harebell_api.samples import AGENT, ANNOUNCEMENT, FAILED, MESSAGE, WAITING

from .fakes import FakePast, FakeStore

PROBLEM = "application/problem+json"
JSON = "application/json"
TOLD_OF = {"ETag", "Location"}
"""Headers that an answer has if and only if the document says so."""
SHARED: dict[str, Any] = DOCUMENT["components"]["responses"]
OPERATIONS = {o["operationId"]: (method, path, o) for method, path, o in operations()}
CASES = [(operation, name) for operation, examples in EXAMPLES.items() for name in examples]


@pytest.fixture
def world(store: FakeStore, past: FakePast, parts: Dependencies) -> None:
    """The resources that the examples are about."""
    for task in (WAITING, FAILED):
        store.add(json.loads(json.dumps(task)))
        parts.task_cache.put(task_record(task))
    store.agents[AGENT["metadata"]["name"]] = json.loads(json.dumps(AGENT))
    parts.agent_cache.put(agent_record(AGENT))
    store.announcements[ANNOUNCEMENT["metadata"]["name"]] = json.loads(json.dumps(ANNOUNCEMENT))
    parts.announcement_cache.put(announcement_record(ANNOUNCEMENT))
    (removed,) = EXAMPLES["listHistory"].values()
    past.page = Page([json.dumps(removed.answer["items"][0]).encode()], None)
    past.uids[FAILED["metadata"]["name"]] = FAILED["metadata"]["uid"]


def shown(operation: dict[str, Any], name: str) -> Example:
    """Return an example as the document shows it."""
    parameters = {
        p["name"]: p["examples"][name]["value"]
        for p in operation.get("parameters", [])
        if name in p.get("examples", {})
    }
    bodies = (
        operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
    )
    answers = {
        int(status): content["examples"][name]["value"]
        for status, response in operation["responses"].items()
        for kind, content in response.get("content", {}).items()
        if kind != PROBLEM and name in content.get("examples", {})
    }
    (status, answer) = next(iter(answers.items()), (EXAMPLES[operation["operationId"]][name].status, None))
    return Example(answer, status, parameters, bodies.get(name, {}).get("value"))


def send(client: TestClient, method: str, path: str, operation: dict[str, Any], example: Example) -> Any:
    where = {p["name"]: p["in"] for p in operation.get("parameters", [])}
    given: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    for name, value in example.parameters.items():
        given[where[name]][name] = value
    url = path.format(**given["path"])
    return client.request(method, url, params=given["query"], headers=given["header"], json=example.body)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(("operation_id", "name"), CASES)
def test_examples_do_what_they_show(client: TestClient, past: FakePast, operation_id: str, name: str) -> None:
    method, path, operation = OPERATIONS[operation_id]
    example = shown(operation, name)
    assert example == EXAMPLES[operation_id][name]
    if operation_id == "getHistory":
        past.page = Page([json.dumps(MESSAGE).encode()], None)
    answer = send(client, method, path, operation, example)
    assert answer.status_code == example.status, answer.text
    response = operation["responses"][str(example.status)]
    assert TOLD_OF & set(response.get("headers", {})) == {name for name in TOLD_OF if name in answer.headers}
    if example.answer is None:
        assert answer.content == b""
        assert "content" not in response
        return
    ((media_type, content),) = response["content"].items()
    assert answer.headers["content-type"].partition(";")[0] == media_type
    told, expected = answer.json() if media_type == JSON else answer.text, example.answer
    validate(expected, content["schema"])
    validate(told, content["schema"])
    if media_type != JSON:
        told, expected = _events(told), _events(expected)
        for event in told:
            validate(event, {"$ref": "#/components/schemas/StreamMessage"})
    assert _form(told) == _form(expected)


def _events(text: str) -> list[Any]:
    """The data of server-sent events."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line[:5] == "data:"]


def _form(value: Any) -> Any:
    """What of a document does not depend on when it was asked for: its members, and how many entries."""
    if isinstance(value, dict):
        return {k: _form(v) for k, v in value.items() if k not in ("errors", "detail")}
    if isinstance(value, list):
        return [_form(v) for v in value]
    return type(value) if isinstance(value, str | float) else value


@pytest.mark.parametrize("operation_id", EXAMPLES)
def test_every_operation_has_examples_of_each_part(operation_id: str) -> None:
    _, _, operation = OPERATIONS[operation_id]
    for name, example in EXAMPLES[operation_id].items():
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                assert name in parameter["examples"]
            if name in parameter.get("examples", {}):
                validate(example.parameters[parameter["name"]], parameter["schema"])
    if operation.get("requestBody", {}).get("required"):
        assert operation["requestBody"]["content"]["application/json"]["examples"]
    for status, response in operation["responses"].items():
        for content in response.get("content", {}).values():
            assert content["examples"], status


def test_no_operation_is_without() -> None:
    assert set(OPERATIONS) == set(EXAMPLES)


def test_every_problem_fits_its_schema() -> None:
    shown = set()
    for name, response in SHARED.items():
        content = response["content"][PROBLEM]
        for example in content["examples"].values():
            validate(example["value"], content["schema"])
            assert name == f"Problem{example['value']['status']}"
            shown.add(example["value"]["type"])
    assert len(shown) > 20


def test_problems_say_with_which_headers_they_come() -> None:
    told = {name: set(problem.get("headers", {})) for name, problem in SHARED.items()}
    assert {name: headers for name, headers in told.items() if headers} == {
        "Problem401": {"WWW-Authenticate"},
        "Problem403": {"WWW-Authenticate"},
        "Problem503": {"Retry-After"},
    }


def test_every_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert DOCUMENT["openapi"].startswith("3.1.")
