"""Errors as RFC 9457 problem documents.

The ``type`` URIs identify kinds of problem; they need not lead anywhere. A client decides by ``type`` (or by
the status), and shows ``title`` and ``detail`` to people.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
BASE_URI = "https://harebell.dev/problems/"


class ProblemType(Enum):
    """Every kind of problem the API answers with: the end of its URI, its status, its title."""

    BAD_REQUEST = ("bad-request", 400, "The request cannot be understood")
    INVALID_CURSOR = ("invalid-cursor", 400, "The cursor is not one this API gave out")
    INVALID_IDEMPOTENCY_KEY = ("invalid-idempotency-key", 400, "The Idempotency-Key cannot be used")
    UNAUTHENTICATED = ("unauthenticated", 401, "A valid API key or token is needed")
    FORBIDDEN = ("forbidden", 403, "Kubernetes forbids it")
    SCOPE_NEEDED = ("scope-needed", 403, "The client may not do this")
    NOT_FOUND = ("not-found", 404, "There is no such thing")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "The method cannot be used here")
    ALREADY_EXISTS = ("already-exists", 409, "The name is taken")
    CONFLICT = ("conflict", 409, "It was changed at the same time")
    NOT_REPLAYABLE = ("not-replayable", 409, "The Task cannot be done again")
    TASK_STARTED = ("task-started", 409, "The Task runs already")
    TASK_FINISHED = ("task-finished", 409, "The Task has finished")
    PRECONDITION_FAILED = ("precondition-failed", 412, "It is not as If-Match says")
    TOO_LARGE = ("too-large", 413, "The request is too large")
    URI_TOO_LONG = ("uri-too-long", 414, "The URL is too long")
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", 415, "The body has to be JSON")
    INVALID = ("invalid", 422, "The request is not valid")
    IDEMPOTENCY_KEY_REUSED = ("idempotency-key-reused", 422, "The Idempotency-Key belongs to another request")
    HEADERS_TOO_LARGE = ("headers-too-large", 431, "The headers are too large")
    INTERNAL = ("internal", 500, "The API failed")
    UNAVAILABLE = ("unavailable", 503, "The request cannot be served now")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug, self.status, self.title = slug, status, title

    @property
    def uri(self) -> str:
        """The ``type`` member."""
        return BASE_URI + self.slug


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one part of the request: a place in the body, or a parameter or header."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None

    def to_wire(self) -> dict[str, str]:
        """Return the entry of ``errors``."""
        where = {"pointer": self.pointer, "parameter": self.parameter}
        return {**{k: v for k, v in where.items() if v is not None}, "detail": self.detail}


@dataclass(frozen=True)
class Problem:
    """One problem, and how it is sent."""

    type: ProblemType
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self, instance: str) -> dict[str, Any]:
        """Return the problem document of the request to ``instance``."""
        document: dict[str, Any] = {
            "type": self.type.uri,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            "instance": instance,
        }
        if self.errors:
            document["errors"] = [error.to_wire() for error in self.errors]
        return document

    def to_response(self, instance: str) -> Response:
        """Return the answer to the request to ``instance``."""
        return Response(
            to_json(self.document(instance)),
            status_code=self.type.status,
            headers=dict(self.headers),
            media_type=MEDIA_TYPE,
        )


class ProblemError(HTTPException):
    """Raised anywhere below a route, it becomes the answer.

    An ``HTTPException``, because FastAPI lets only that pass when it is raised while the body is read.
    """

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(kind.status, detail, dict(headers or {}))
        self.problem = Problem(kind, detail, tuple(errors), headers or {})

    @classmethod
    def of(cls, problem: Problem) -> "ProblemError":
        """Return the error that is answered with ``problem``."""
        return cls(problem.type, problem.detail, problem.errors, problem.headers)


def json_pointer(path: Iterable[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a place in a document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
