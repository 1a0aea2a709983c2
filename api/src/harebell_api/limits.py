"""How large a request may be, route by route.

What is answered with a problem document is smaller than what the server itself takes
(:mod:`.protocol`), which bounds the memory that a client can have before anybody looks at its request.
"""

MAX_BODY_BYTES = 512 * 1024
"""Of a dispatch: a payload of 256 KiB, spelt with escapes and white space."""
MAX_BATCH_BYTES = 2 * 1024 * 1024
"""Of a batch: 100 Tasks of 20 KiB. A body takes some twenty times its size while it is being read."""
MAX_SMALL_BODY_BYTES = 64 * 1024
"""Of everything else."""
MAX_URL_BYTES = 8 * 1024
"""RFC 9110, 4.1, recommends to take 8000 at least."""
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 64

DISPATCH = "/api/v1/dispatch"
BATCH = "/api/v1/dispatch/batch"


def body_limit(path: str) -> int:
    """Return the largest body, in bytes, that a request for this path may have."""
    match path.rstrip("/"):
        case path if path == BATCH:
            return MAX_BATCH_BYTES
        case path if path == DISPATCH:
            return MAX_BODY_BYTES
        case _:
            return MAX_SMALL_BODY_BYTES
