"""What the API server answered when it did not do what was asked, and the problem that makes for a client."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .problems import FieldError, ProblemError, ProblemType, json_pointer

RETRY_SECONDS = "5"


class ApiServerUnreachableError(Exception):
    """The API server did not answer. Whether it did what was asked is not known."""


@dataclass(frozen=True)
class Cause:
    """One thing the API server found wrong with an object."""

    field: str
    message: str


@dataclass(eq=False)
class ApiServerError(Exception):
    """The API server refused; the members are those of its ``Status`` answer."""

    status: int
    reason: str
    message: str
    causes: tuple[Cause, ...] = ()
    retry_after: str | None = None

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}"


def error_of(status: int, body: bytes, headers: Mapping[str, str]) -> ApiServerError:
    """Return the error that an answer with this status is; the body need not be a ``Status``."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.get("kind") != "Status":
        answer = {"message": body[:500].decode(errors="replace")}
    return status_error(answer, status, headers.get("Retry-After"))


def status_error(answer: Mapping[str, Any], status: int, retry_after: str | None = None) -> ApiServerError:
    """Return the error that a ``Status`` object is."""
    details = answer.get("details") or {}
    causes = tuple(
        Cause(str(c.get("field") or ""), str(c.get("message") or "")) for c in details.get("causes") or ()
    )
    return ApiServerError(
        status, str(answer.get("reason") or ""), str(answer.get("message") or ""), causes, retry_after
    )


def problem_for(error: ApiServerError | ApiServerUnreachableError) -> ProblemError:
    """Return what the client is told. Only a missing Task is 404; callers tell it apart themselves."""
    if isinstance(error, ApiServerUnreachableError):
        detail = "the Kubernetes API server does not answer; repeat the request with an Idempotency-Key"
        return _unavailable(detail, None)
    match error.status:
        case 409 if error.reason == "AlreadyExists":
            return ProblemError(ProblemType.ALREADY_EXISTS, error.message)
        case 409:
            return ProblemError(ProblemType.CONFLICT, error.message)
        case 400 | 422:
            return ProblemError(ProblemType.INVALID, error.message, map(_field_error, error.causes))
        case 403:
            return ProblemError(ProblemType.FORBIDDEN, error.message)
        case 413:
            return ProblemError(ProblemType.TOO_LARGE, error.message)
        case 401:
            return _unavailable("the Kubernetes API server refuses the API's own credentials", None)
        case 404:
            return _unavailable(f"the resources of harebell are not installed: {error.message}", None)
        case _:
            return _unavailable(f"the Kubernetes API server failed: {error.message}", error.retry_after)


def request_pointer(field_path: str) -> str | None:
    """Return the place in a dispatch request of a field of a Task, as far as there is one.

    ``spec.retryPolicy.maxRetries`` is ``/retryPolicy/maxRetries``, ``metadata.name`` is ``/name``.
    """
    parts = [part for part in field_path.replace("[", ".").replace("]", "").split(".") if part]
    if not parts or parts[0] not in ("spec", "metadata"):
        return None
    return json_pointer(parts[1:])


def _field_error(cause: Cause) -> FieldError:
    return FieldError(cause.message, pointer=request_pointer(cause.field))


def _unavailable(detail: str, retry_after: str | None) -> ProblemError:
    return ProblemError(
        ProblemType.UNAVAILABLE, detail, headers={"Retry-After": retry_after or RETRY_SECONDS}
    )
