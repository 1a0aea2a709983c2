"""How long to wait before a retry."""

import hashlib
from datetime import timedelta

from harebell_crds.task import Backoff


def retry_delay(backoff: Backoff, failures: int, seed: str) -> timedelta:
    """Return the wait after the ``failures``-th failure (from 1): exponential, capped, jittered.

    The jitter takes off up to a quarter, so that Tasks that failed together do not return together. It is
    drawn from ``seed``: the same observation gives the same decision.
    """
    exponent = min(failures - 1, 64)
    seconds = min(
        float(backoff.max_seconds), float(backoff.initial_seconds) * float(backoff.factor) ** exponent
    )
    digest = hashlib.blake2b(f"{seed}/{failures}".encode(), digest_size=4).digest()
    share = int.from_bytes(digest, "big") / 2**32
    return timedelta(seconds=seconds * (1 - share / 4))
