"""``load WARM-UP COUNT``: calls, and waits for the results; prints the seconds that COUNT took.

Reads a line before it begins to count, so that all is set up when it does.
"""

import json
import sys
import time

from .app import echo

TIMEOUT_SECONDS = 300


def call(count: int) -> float:
    """Return the seconds that so many calls take."""
    begun = time.monotonic()
    # From one thread: the results of a call come to the thread that made it.
    results = [echo.delay({"number": number}) for number in range(count)]
    for result in results:
        result.get(timeout=TIMEOUT_SECONDS)
    return time.monotonic() - begun


def main() -> None:
    """Run as a program."""
    warm_up, count = map(int, sys.argv[1:])
    call(warm_up)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps({"seconds": call(count)}), flush=True)
    # Its CPU time can be read as long as it is there.
    sys.stdin.readline()


if __name__ == "__main__":
    main()
