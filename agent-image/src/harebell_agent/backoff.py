"""How long to wait before trying again."""

import random

FIRST_SECONDS = 1.0
MAX_SECONDS = 15.0


def backoff(failures: int, spread: float | None = None) -> float:
    """Return seconds to wait after so many failures in a row: 1 s, doubling up to 15 s, half of it random.

    ``spread`` is the random part, 0 to 1; tests give it.
    """
    chosen = random.random() if spread is None else spread  # noqa: S311
    whole = min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(max(failures, 1) - 1, 10))
    return whole * (0.5 + 0.5 * chosen)
