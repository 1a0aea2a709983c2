"""How an audit ends: what could not be asked is never clean."""

from typing import Any

import pytest
from tests.supply.audit import Outcome, judged

FINE: dict[str, Any] = {"name": "idna", "version": "3.20", "vulns": []}
FLAWED: dict[str, Any] = {
    "name": "attrs",
    "version": "1",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"], "aliases": []}],
}
SKIPPED: dict[str, Any] = {"name": "yarl", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("dependencies", "outcome", "said"),
    [
        ([FINE], Outcome.CLEAN, "1 packages, no known vulnerability"),
        ([FINE, FLAWED], Outcome.VULNERABLE, "attrs 1: PYSEC-1, mended in 2"),
        ([FINE, SKIPPED], Outcome.UNKNOWN, "no answer for yarl of 2"),
        ([SKIPPED, SKIPPED], Outcome.UNKNOWN, "no answer for any of 2"),
        ([FLAWED, SKIPPED], Outcome.VULNERABLE, "no answer for yarl"),
        ([], Outcome.UNKNOWN, "nothing was audited"),
    ],
)
def test_outcomes(dependencies: list[dict[str, Any]], outcome: Outcome, said: str) -> None:
    found, lines = judged("agent", {"dependencies": dependencies})
    assert found is outcome
    assert said in "\n".join(lines)


def test_the_exit_status_tells_them_apart() -> None:
    assert [int(o) for o in (Outcome.CLEAN, Outcome.VULNERABLE, Outcome.UNKNOWN)] == [0, 1, 3]
