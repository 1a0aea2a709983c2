"""Known vulnerabilities of what the lock files name, as pip-audit finds them."""

import json
import subprocess
from enum import IntEnum
from pathlib import Path
from typing import Any

from tests.cluster.paths import REPOSITORY
from tests.support.environments import environment

LOCKS = ("control-plane", "agent", "dev", "bench", "supply-chain")
SECONDS = 600


class Outcome(IntEnum):
    """How an audit ended; the exit status of ``make audit``."""

    CLEAN = 0
    VULNERABLE = 1
    UNKNOWN = 3
    """The service could not be asked, about some or all: that is no clean bill."""


def audit(lock: str) -> tuple[Outcome, list[str]]:
    """Audit one lock file; return how it ended, and lines for people."""
    file = REPOSITORY / "requirements" / f"{lock}.txt"
    command: list[str | Path] = [
        environment("supply-chain"),
        "-m",
        "pip_audit",
        "--disable-pip",
        "--require-hashes",
        "--format",
        "json",
    ]
    command += ["--progress-spinner", "off", "--requirement", file]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Outcome.UNKNOWN, [f"{lock}: the vulnerability service did not answer within {SECONDS} s"]
    try:
        report = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        return Outcome.UNKNOWN, [f"{lock}: the vulnerability service could not be asked: {last}"]
    return judged(lock, report)


def judged(lock: str, report: dict[str, Any]) -> tuple[Outcome, list[str]]:
    """Return how an audit ended, of pip-audit's JSON."""
    named = report["dependencies"]
    unknown = [each for each in named if "skip_reason" in each]
    found = [(each, flaw) for each in named for flaw in each.get("vulns", [])]
    lines = [
        f"{lock}: {each['name']} {each['version']}: {flaw['id']}"
        + (f", mended in {', '.join(flaw['fix_versions'])}" if flaw.get("fix_versions") else "")
        for each, flaw in found
    ]
    if unknown:
        which = "any" if len(unknown) == len(named) else ", ".join(each["name"] for each in unknown)
        lines.append(f"{lock}: the vulnerability service has no answer for {which} of {len(named)} packages")
    if found:
        return Outcome.VULNERABLE, lines
    if unknown or not named:
        return Outcome.UNKNOWN, lines or [f"{lock}: nothing was audited"]
    return Outcome.CLEAN, [f"{lock}: {len(named)} packages, no known vulnerability"]
