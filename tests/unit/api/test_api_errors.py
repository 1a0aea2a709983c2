import json
import logging

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from harebell_api import handlers
from harebell_api.kube_errors import (
    ApiServerError,
    ApiServerUnreachableError,
    Cause,
    error_of,
    problem_for,
    request_pointer,
)
from harebell_api.logs import JsonFormatter
from harebell_api.problems import ProblemType, json_pointer


@pytest.mark.parametrize(
    ("error", "kind", "retry"),
    [
        (ApiServerError(409, "AlreadyExists", "m"), ProblemType.ALREADY_EXISTS, None),
        (ApiServerError(409, "Conflict", "m"), ProblemType.CONFLICT, None),
        (ApiServerError(422, "Invalid", "m"), ProblemType.INVALID, None),
        (ApiServerError(400, "BadRequest", "m"), ProblemType.INVALID, None),
        (ApiServerError(403, "Forbidden", "exceeded quota"), ProblemType.FORBIDDEN, None),
        (ApiServerError(413, "RequestEntityTooLarge", "m"), ProblemType.TOO_LARGE, None),
        (ApiServerError(401, "Unauthorized", "m"), ProblemType.UNAVAILABLE, "5"),
        (ApiServerError(404, "NotFound", "m"), ProblemType.UNAVAILABLE, "5"),
        (ApiServerError(429, "TooManyRequests", "m", retry_after="7"), ProblemType.UNAVAILABLE, "7"),
        (ApiServerError(500, "InternalError", "m"), ProblemType.UNAVAILABLE, "5"),
        (ApiServerError(504, "Timeout", "m"), ProblemType.UNAVAILABLE, "5"),
        (ApiServerUnreachableError("m"), ProblemType.UNAVAILABLE, "5"),
    ],
)
def test_what_a_client_is_told(
    error: ApiServerError | ApiServerUnreachableError, kind: ProblemType, retry: str | None
) -> None:
    problem = problem_for(error).problem
    assert problem.type is kind
    assert problem.headers.get("Retry-After") == retry


def test_what_the_api_server_found_wrong_is_passed_on() -> None:
    error = ApiServerError(
        422, "Invalid", "Task is invalid", (Cause("spec.retryPolicy.maxRetries", "too big"), Cause("", "x"))
    )
    problem = problem_for(error).problem
    assert problem.detail == "Task is invalid"
    assert [entry.to_wire() for entry in problem.errors] == [
        {"pointer": "/retryPolicy/maxRetries", "detail": "too big"},
        {"detail": "x"},
    ]


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("spec.agentType", "/agentType"),
        ("metadata.name", "/name"),
        ("metadata.labels", "/labels"),
        ("spec.items[0].a", "/items/0/a"),
        ("spec", ""),
        ("status.phase", None),
        ("", None),
        ("<nil>", None),
    ],
)
def test_pointers_from_kubernetes(path: str, pointer: str | None) -> None:
    assert request_pointer(path) == pointer


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"kind":"Status","reason":"Invalid","message":"m"}', ("Invalid", "m")),
        (b'{"kind":"Status","details":null}', ("", "")),
        (b"<html>bad gateway", ("", "<html>bad gateway")),
        (b"", ("", "")),
        (b"[]", ("", "[]")),
    ],
)
def test_answers_need_not_be_a_status(body: bytes, expected: tuple[str, str]) -> None:
    error = error_of(502, body, {})
    assert (error.status, error.reason, error.message) == (502, *expected)


@pytest.mark.parametrize(
    ("path", "pointer"), [([], ""), (["a", 0], "/a/0"), (["a/b", "c~d"], "/a~1b/c~0d"), ([""], "/")]
)
def test_pointers(path: list[str | int], pointer: str) -> None:
    assert json_pointer(path) == pointer


def test_kinds_of_problem_differ() -> None:
    assert len({kind.uri for kind in ProblemType}) == len(ProblemType)


def test_a_failure_shows_the_client_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    handlers.install(app)

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("the secret")

    answer = TestClient(app, raise_server_exceptions=False).get("/boom")
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "secret" not in answer.text


def test_log_lines_are_json() -> None:
    record = logging.LogRecord("n", logging.INFO, __file__, 1, "a\n%s", ("b",), None)
    record.fields = {"path": "/x"}
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert {k: v for k, v in json.loads(line).items() if k != "time"} == {
        "level": "INFO",
        "logger": "n",
        "message": "a\nb",
        "path": "/x",
    }
