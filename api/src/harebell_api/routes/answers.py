"""Answers put together from documents that are JSON text already."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from harebell_api.cache import Cache
from harebell_api.conditional import etag, is_known
from harebell_api.records import Record

READ_CACHE = "private, no-cache"
"""A client may keep what it read, and asks each time whether it is still so (RFC 9111, 5.2.2)."""


def json_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with this JSON text. It may be different a moment later: nobody is to keep it."""
    return Response(
        body, status, {"Cache-Control": "no-store", **(headers or {})}, media_type="application/json"
    )


def changed_answer(record: Record, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer to a request that made or changed a resource."""
    return json_answer(record.body, status, {"ETag": etag(record.body, record.version), **(headers or {})})


def read_answer(
    body: bytes, if_none_match: str | None, *caches: Cache[Any], version: int | None = None
) -> Response:
    """Return the answer to a read out of ``caches``, or 304 where the client has it already.

    ``version`` is that of the one resource it shows, if it shows one.
    """
    tag = etag(body, version)
    headers = {"ETag": tag, "Cache-Control": READ_CACHE, **freshness(caches)}
    if is_known(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type="application/json")


def freshness(caches: Iterable[Cache[Any]]) -> dict[str, str]:
    """Return the headers that say how old an answer out of these caches may be; the oldest counts.

    ``Age`` is in whole seconds (RFC 9111, 5.1): since the watch last showed that it works.
    """
    known = [(cache.age, cache.watched) for cache in caches]
    ages = [age for age, _ in known if age is not None]
    if not known or len(ages) < len(known):
        return {}
    return {"Age": str(int(max(ages))), "Harebell-Resource-Version": str(min(v for _, v in known))}


def page_body(items: Iterable[bytes], **members: str | None) -> bytes:
    """Return ``{"items": [...], ...members}``."""
    rest = b"".join(b"," + to_json(name) + b":" + to_json(value) for name, value in members.items())
    return b'{"items":[' + b",".join(items) + b"]" + rest + b"}"


def with_member(document: bytes, name: str, value: Any) -> bytes:
    """Return a JSON object, which has members already, with one more."""
    return document[:-1] + b"," + to_json(name) + b":" + to_json(value) + b"}"
