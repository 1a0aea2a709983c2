"""Runs the demonstration."""

import argparse
import sys

from tests.cluster import api
from tests.support.kubectl import CommandFailed

from . import story


def main() -> int:
    """Run it; a failure is told in one line."""
    argparse.ArgumentParser(prog="make demo", description=story.__doc__).parse_args()
    try:
        story.tell()
    except (api.Problem, CommandFailed, TimeoutError) as error:
        print(f"\nThe demonstration failed: {error}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
