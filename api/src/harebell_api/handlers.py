"""Turns whatever went wrong in a request into a problem document."""

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .problems import FieldError, Problem, ProblemError, ProblemType, json_pointer

logger = logging.getLogger(__name__)

_BY_STATUS = {
    400: ProblemType.BAD_REQUEST,
    404: ProblemType.NOT_FOUND,
    405: ProblemType.METHOD_NOT_ALLOWED,
    413: ProblemType.TOO_LARGE,
}


def install(app: FastAPI) -> None:
    """Have ``app`` answer every error with a problem document."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(Exception, _failure)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # A WebSocket that is refused before it opens has no method; it is a GET.
    return problem_of(error, request.scope.get("method", "GET")).to_response(request.url.path)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    content_type = request.headers.get("content-type", "")
    return validation_problem(error.errors(), content_type).to_response(request.url.path)


async def _failure(request: Request, error: Exception) -> Response:
    # Starlette raises the error again after the answer; the server logs it then, with its traceback.
    return Problem(ProblemType.INTERNAL, "see the API's log").to_response(request.url.path)


def problem_of(error: HTTPException, method: str) -> Problem:
    """Return the problem an HTTP error stands for."""
    if isinstance(error, ProblemError):
        return error.problem
    headers = dict(error.headers or {})
    kind = _BY_STATUS.get(error.status_code)
    if kind is None:
        logger.error("no kind of problem for status %d: %s", error.status_code, error.detail)
        return Problem(ProblemType.INTERNAL, "see the API's log")
    match kind:
        case ProblemType.NOT_FOUND:
            return Problem(kind, "there is nothing at this path", headers=headers)
        case ProblemType.METHOD_NOT_ALLOWED:
            return Problem(kind, f"{method} cannot be used at this path", headers=headers)
        case _:
            return Problem(kind, error.detail, headers=headers)


def validation_problem(errors: Sequence[Any], content_type: str) -> Problem:
    """Return the problem for what pydantic found wrong, one entry of ``errors`` each."""
    for error in errors:
        if error["type"] == "json_invalid":
            return Problem(ProblemType.BAD_REQUEST, f"the body is not JSON: {error['ctx']['error']}")
        if tuple(error["loc"]) == ("body",) and error["type"] != "missing" and not _is_json(content_type):
            return Problem(
                ProblemType.UNSUPPORTED_MEDIA_TYPE, "send the body with Content-Type: application/json"
            )
    found = tuple(_field_error(error) for error in errors)
    summary = "; ".join(f"{e.pointer or e.parameter or 'body'}: {e.detail}" for e in found)
    return Problem(ProblemType.INVALID, summary[:1000], found)


def _field_error(error: Any) -> FieldError:
    source, *path = error["loc"]
    detail = "this field is not known" if error["type"] == "extra_forbidden" else str(error["msg"])
    if source == "body":
        return FieldError(detail, pointer=json_pointer(path))
    return FieldError(detail, parameter=str(path[0]) if path else str(source))


def _is_json(content_type: str) -> bool:
    essence = content_type.partition(";")[0].strip().lower()
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))
