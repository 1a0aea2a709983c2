"""``http.probe``: asks URLs, and tells how they answered."""

import asyncio
import hashlib
import time
from typing import Annotated, Any, Literal

import aiohttp
from pydantic import AnyHttpUrl, Field, TypeAdapter, ValidationError

from harebell_agent.context import Context
from harebell_bus.link import describe

from .model import Model

AT_ONCE = 10
"""How many URLs are asked at a time."""

_URL: TypeAdapter[AnyHttpUrl] = TypeAdapter(AnyHttpUrl)


class ProbePayload(Model):
    """What to ask, and how patiently."""

    urls: Annotated[list[Annotated[str, Field(max_length=2048)]], Field(min_length=1, max_length=100)]
    method: Literal["GET", "HEAD"] = "GET"
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 5.0
    max_bytes: Annotated[int, Field(ge=0, le=64 * 1024 * 1024)] = 1024 * 1024
    follow_redirects: bool = False


class ProbeResult(Model):
    """How one URL answered; where it did not, ``error`` says why and the rest is null."""

    url: str
    status: int | None = None
    latency_ms: float | None = None
    """From the request to the end of the body."""
    bytes: int | None = None
    body_sha256: str | None = None
    truncated: bool = False
    """The body is longer than maxBytes; bytes and bodySha256 are of its beginning."""
    error: str | None = None


async def probe(ctx: Context, payload: ProbePayload) -> list[ProbeResult]:
    """Ask all URLs, a few at a time. One that cannot be reached is a result, not a failure of the Task."""
    at_once = asyncio.Semaphore(AT_ONCE)
    done = 0
    timeout = aiohttp.ClientTimeout(total=payload.timeout_seconds)
    # Bodies as they come over the wire: a small one that unpacks to gigabytes stays small.
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:

        async def one(url: str) -> ProbeResult:
            nonlocal done
            async with at_once:
                result = await _ask(session, url, payload)
            done += 1
            await ctx.progress(
                percent=100 * done / len(payload.urls), message=f"{done} of {len(payload.urls)}"
            )
            return result

        return list(await asyncio.gather(*(one(url) for url in payload.urls)))


async def _ask(session: aiohttp.ClientSession, url: str, payload: ProbePayload) -> ProbeResult:
    try:
        _URL.validate_python(url)
    except ValidationError:
        return ProbeResult(url=url, error="not an http or https URL")
    begun = time.monotonic()
    try:
        async with session.request(payload.method, url, allow_redirects=payload.follow_redirects) as response:
            digest, size, truncated = await _body(response, payload.max_bytes)
            return ProbeResult(
                url=url,
                status=response.status,
                latency_ms=round((time.monotonic() - begun) * 1000, 1),
                bytes=size,
                body_sha256=digest.hexdigest(),
                truncated=truncated,
            )
    except TimeoutError:
        return ProbeResult(url=url, error=f"no complete answer within {payload.timeout_seconds:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return ProbeResult(url=url, error=describe(error)[:500])


async def _body(response: aiohttp.ClientResponse, most: int) -> tuple[Any, int, bool]:
    """Return the digest and size of the body's first ``most`` bytes, and whether there is more."""
    digest, size = hashlib.sha256(), 0
    async for chunk in response.content.iter_any():
        taken = chunk[: most - size]
        digest.update(taken)
        size += len(taken)
        if len(taken) < len(chunk):
            return digest, size, True
    return digest, size, False
