"""Answers put together from documents that are JSON text already."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response


def json_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with this JSON text. It may be different a moment later: nobody is to keep it."""
    return Response(
        body, status, {"Cache-Control": "no-store", **(headers or {})}, media_type="application/json"
    )


def page_body(items: Iterable[bytes], **members: str | None) -> bytes:
    """Return ``{"items": [...], ...members}``."""
    rest = b"".join(b"," + to_json(name) + b":" + to_json(value) for name, value in members.items())
    return b'{"items":[' + b",".join(items) + b"]" + rest + b"}"


def with_member(document: bytes, name: str, value: Any) -> bytes:
    """Return a JSON object, which has members already, with one more."""
    return document[:-1] + b"," + to_json(name) + b":" + to_json(value) + b"}"
