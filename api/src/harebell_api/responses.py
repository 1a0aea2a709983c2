"""What routes say of their answers, for the OpenAPI document: headers, and problems they may answer with."""

from collections.abc import Mapping
from typing import Any

from .models import ProblemDocument
from .problems import MEDIA_TYPE, Problem, ProblemType

SCHEMAS = "#/components/schemas/"
"""Where the document has its schemas."""
_EVERYWHERE = (401, 403, 414, 431, 500)
_ETAG = {
    "ETag": "Changes with the document; for If-None-Match, and for If-Match where the document is a Task's."
}
_READ_HEADERS = {
    "Age": "Seconds since the watch of the Kubernetes API server last showed that it works: the answer may be"
    " so old. Absent before everything was listed for the first time.",
    "Harebell-Resource-Version": "Resource version up to which the answer holds everything.",
}
_INTEGERS = frozenset({"Age", "Retry-After"})
_CHALLENGE = {"WWW-Authenticate": "What is lacking (RFC 6750, 3). With 403, where it is a scope."}
_PROBLEM_HEADERS = {
    401: _CHALLENGE,
    403: _CHALLENGE,
    503: {"Retry-After": "Seconds after which to try again."},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that may answer with these problems."""
    return {
        status: {
            "description": "; ".join(kind.title for kind in _kinds(status)),
            **_with_headers(_PROBLEM_HEADERS.get(status, {})),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": SCHEMAS + ProblemDocument.__name__},
                    "examples": {kind.slug: {"value": _problem(kind)} for kind in _kinds(status)},
                }
            },
        }
        for status in sorted({*statuses, *_EVERYWHERE})
    }


def _kinds(status: int) -> list[ProblemType]:
    return [kind for kind in ProblemType if kind.status == status]


def _problem(kind: ProblemType) -> dict[str, Any]:
    """Return an example: what is wrong in particular is in ``detail``, and differs."""
    return Problem(kind, f"{kind.title}: what exactly is said here").document("/api/v1/...")


def fresh(*, tagged: bool) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that reads the caches; ``tagged``: it knows ``If-None-Match``."""
    headers = _with_headers({**(_ETAG if tagged else {}), **_READ_HEADERS})
    answers: dict[int | str, dict[str, Any]] = {200: {"description": "As it is now.", **headers}}
    if tagged:
        text = "The client has it already: it is as If-None-Match says."
        answers[304] = {"description": text, **headers}
    return answers


def changed(status: int, description: str, **headers: str) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that makes or changes a resource.

    ``headers`` describes those that come with the ``ETag``; ``_`` in their names stands for ``-``.
    """
    more = {name.replace("_", "-"): text for name, text in headers.items()}
    return {status: {"description": description, **_with_headers({**_ETAG, **more})}}


def _with_headers(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the member of a response that describes its headers, if it has any."""
    headers = {
        name: {"description": text, "schema": {"type": "integer" if name in _INTEGERS else "string"}}
        for name, text in texts.items()
    }
    return {"headers": headers} if headers else {}
