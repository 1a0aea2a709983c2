"""python -m tests.supply COMMAND: what the product's images are made of."""

import argparse
import sys
from pathlib import Path

from tests.cluster.paths import REPOSITORY, cache
from tests.cluster.progress import Problem, say, set_log_folder

from . import sbom
from .audit import LOCKS, Outcome, audit


def main() -> int:
    """Run a command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.supply", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    text = "write a CycloneDX document for each image, built first if its inputs changed"
    commands.add_parser("sbom", help=text, description=text).add_argument(
        "folder", nargs="?", type=Path, default=REPOSITORY / ".build" / "sbom", help="default: %(default)s"
    )
    text = "look for known vulnerabilities of what the lock files name; 1: some found, 3: could not be asked"
    commands.add_parser("audit", help=text, description=text)
    options = parser.parse_args()
    cache().mkdir(parents=True, exist_ok=True)
    set_log_folder(cache() / "logs")
    try:
        if options.command == "sbom":
            for file in sbom.write(options.folder):
                print(file)
            return 0
        return _audit()
    except Problem as problem:
        say(f"{problem}")
        return 1


def _audit() -> int:
    ended = [audit(lock) for lock in LOCKS]
    print("\n".join(line for _, lines in ended for line in lines))
    outcomes = {outcome for outcome, _ in ended}
    worst = next(o for o in (Outcome.VULNERABLE, Outcome.UNKNOWN, Outcome.CLEAN) if o in outcomes)
    if worst is Outcome.UNKNOWN:
        print("Not audited: run this where PyPI's advisories can be had.")
    return worst


sys.exit(main())
