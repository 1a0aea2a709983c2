"""Requests that schemathesis makes up from the OpenAPI document, good ones and bad ones, sent to an API."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .api import KEY, Api

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
ENDLESS = "followTasks"
"""The operation whose answer does not end."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
_SAMPLE = re.compile(r'harebell_api_requests_total\{.*status="(\d+)"\} (\d+)\.0')


@dataclass(frozen=True)
class Fuzzed:
    """What came of a run."""

    passed: bool
    operations: int
    cases: int
    statuses: "Counter[int]"
    """Answers by status, as the API counted them."""
    output: str

    @property
    def failures(self) -> int:
        """Answers that say that the API failed."""
        return sum(number for status, number in self.statuses.items() if status >= 500)


def fuzz(api: Api, folder: Path, cases: int, seed: int, seconds: float) -> Fuzzed:
    """Send the examples, the borders of every schema, and ``cases`` requests made up for each operation.

    The same seed gives the same requests.

    :raises subprocess.TimeoutExpired: it takes longer than ``seconds``.
    """
    report = folder / "report.json"
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        *("run", str(DOCUMENT), f"--url=http://127.0.0.1:{api.port}", "--no-color", "--warnings=off"),
        *("--header", f"Authorization: Bearer {KEY}", f"--checks={','.join(CHECKS)}"),
        f"--exclude-operation-id={ENDLESS}",
        *("--phases=examples,coverage,fuzzing", f"--max-examples={cases}", f"--seed={seed}"),
        *("--generation-database=none", "--continue-on-failure"),
        *("--suppress-health-check=all", "--report=json", f"--report-json-path={report}"),
    ]
    before = answers(api)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    if not report.exists():
        raise AssertionError(f"schemathesis did not begin: {done.stdout}{done.stderr}")
    found = json.loads(report.read_text())
    return Fuzzed(
        passed=done.returncode == 0 and found["complete"],
        operations=found["operations"]["tested"],
        cases=found["test_cases"]["generated"],
        statuses=answers(api) - before,
        output=done.stdout + done.stderr,
    )


def answers(api: Api) -> "Counter[int]":
    """Return how many requests the API has answered, by status."""
    counted: Counter[int] = Counter()
    for status, number in _SAMPLE.findall(api.http.get("/metrics").text):
        counted[int(status)] += int(number)
    return counted
