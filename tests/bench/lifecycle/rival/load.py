"""``load WARM-UP COUNT THREADS``: calls, and waits for the results; prints the seconds that COUNT took.

Reads a line before it begins to count, so that all is set up when it does.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from .app import echo

TIMEOUT_SECONDS = 300


def call(count: int, threads: int) -> float:
    """Return the seconds that so many calls take."""
    begun = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda number: echo.delay({"number": number}), range(count)))
    for result in results:
        result.get(timeout=TIMEOUT_SECONDS)
    return time.monotonic() - begun


def main() -> None:
    """Run as a program."""
    warm_up, count, threads = map(int, sys.argv[1:])
    call(warm_up, threads)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps({"seconds": call(count, threads)}), flush=True)


if __name__ == "__main__":
    main()
