"""Runs many interleavings and says how many, from which seed and how the Tasks ended."""

import argparse
import sys
import time
from collections import Counter

from .run import BrokenRuleError, interleaving


def main() -> int:
    """Run as a program. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make properties", description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000, help="how many interleavings; default 20000")
    parser.add_argument("--seed", type=int, help="of the first, the others follow; default: by the clock")
    given = parser.parse_args()
    first = time.time_ns() // 1_000_000 * 100_000 if given.seed is None else given.seed
    print(f"{given.runs} interleavings of a Task's events, seeds from {first}", flush=True)
    ends: Counter[str] = Counter()
    for seed in range(first, first + given.runs):
        try:
            ends[interleaving(seed)] += 1
        except BrokenRuleError as broken:
            print(f"broken: {broken}", file=sys.stderr)
            return 1
    print(f"no rule broken; the Tasks ended {', '.join(f'{n} {phase}' for phase, n in ends.most_common())}")
    return 0


sys.exit(main())
