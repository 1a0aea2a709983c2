"""The measurement of the live feed runs, for more than one size of body."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_size_of_body_is_measured() -> None:
    few = ("--clients", "3", "--tasks", "2", "--changes", "4", "--every", "0.01", "--bodies", "10", "20")
    command = [sys.executable, "-m", "tests.bench.feed", *few]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr
    measured = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(m["body_bytes"], m["clients"], m["changes"]) for m in measured] == [(10, 3, 4), (20, 3, 4)]
    assert all(m["messages"] > 0 for m in measured)
