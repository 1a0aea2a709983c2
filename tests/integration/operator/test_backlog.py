"""What agents said while no operator listened counts, whatever the clock says when it is heard."""

import time
from pathlib import Path

import pytest
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes
from tests.support.release import manifest
from tests.support.tasks import all_in
from tests.support.waiting import until

from .conftest import diarist

DEADLINE = 5
GRACE = 15
"""What the operator adds to the deadline that agents keep to."""


@pytest.mark.timeout(240)
def test_deadlines_that_were_kept_while_the_operator_was_away(
    start: Processes, kubectl: Kubectl, tmp_path: Path
) -> None:
    kind, diary, told = "kept", tmp_path / "diary", tmp_path / "told"
    first, second = f"{kind}-first", f"{kind}-second"
    operator = start.operator()
    diarist(start, kind, diary)
    payload = {"told": str(told)}
    kubectl.apply(manifest(first, kind, "until", payload=payload, activeDeadlineSeconds=DEADLINE))
    until("the first to run", lambda: all_in("Running", kubectl, [first]), 60)
    begun = time.monotonic()
    kubectl.apply(manifest(second, kind, "note", queueDeadlineSeconds=DEADLINE))
    until("the second to be queued", lambda: all_in("Queued", kubectl, [second]), 60)
    operator.kill()
    told.touch()
    until("both to be done", lambda: diary.read_text().split() == [first, second], DEADLINE)
    until("the deadlines to be over", lambda: time.monotonic() > begun + DEADLINE + GRACE + 1)
    start.operator()
    both = [first, second]
    until(
        "both to be finished", lambda: all(kubectl.get("task", n)["status"].get("completedAt") for n in both)
    )
    assert [kubectl.get("task", name)["status"]["phase"] for name in both] == ["Succeeded"] * 2
