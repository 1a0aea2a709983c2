"""Tasks that are suspended before they start and while they wait in the queue."""

from pathlib import Path

import pytest
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes
from tests.support.release import manifest
from tests.support.tasks import all_in, statuses
from tests.support.waiting import until

from .conftest import diarist


def suspend(kubectl: Kubectl, name: str, wanted: bool) -> None:
    kubectl("patch", "task", name, "--type=merge", "-p", f'{{"spec":{{"suspend":{str(wanted).lower()}}}}}')


def is_suspended(kubectl: Kubectl, name: str) -> bool:
    status = statuses(kubectl)[name]
    return (status.get("phase"), status.get("reason")) == ("Pending", "Suspended")


@pytest.mark.timeout(300)
def test_suspended_tasks_start_when_they_are_resumed_and_once(
    start: Processes, kubectl: Kubectl, tmp_path: Path
) -> None:
    kind, diary = "suspend", tmp_path / "diary"
    early, queued, other = "suspend-early", "suspend-queued", "suspend-other"
    start.operator()
    kubectl.apply(
        manifest(early, kind, "note", suspend=True),
        manifest(queued, kind, "note"),
        manifest(other, kind, "note"),
    )
    until("one to wait from the start", lambda: is_suspended(kubectl, early), 60)
    until("two to be queued", lambda: all_in("Queued", kubectl, [queued, other]), 60)
    suspend(kubectl, queued, True)
    until("one to be withdrawn", lambda: is_suspended(kubectl, queued), 60)

    # It finds both messages, and is told with its Welcome which one counts.
    diarist(start, kind, diary)
    until("the other to be done", lambda: all_in("Succeeded", kubectl, [other]), 90)
    barrier = "suspend-barrier"
    kubectl.apply(manifest(barrier, kind, "note"))
    until("a later one to be done", lambda: all_in("Succeeded", kubectl, [barrier]), 90)
    assert is_suspended(kubectl, early)
    assert is_suspended(kubectl, queued)
    assert sorted(diary.read_text().split()) == sorted([other, barrier])

    for name in (early, queued):
        suspend(kubectl, name, False)
    until("the rest to be done", lambda: all_in("Succeeded", kubectl, [early, queued]), 90)
    assert sorted(diary.read_text().split()) == sorted([early, queued, other, barrier])
    found = statuses(kubectl)
    assert {found[n]["attempt"] for n in (early, queued, other)} == {1}


@pytest.mark.timeout(300)
def test_one_suspended_while_its_agent_is_busy_is_passed_over(
    start: Processes, kubectl: Kubectl, tmp_path: Path
) -> None:
    kind, diary = "suspend-busy", tmp_path / "diary"
    hold, first, second = f"{kind}-hold", f"{kind}-first", f"{kind}-second"
    operator = start.operator()
    diarist(start, kind, diary)
    kubectl.apply(manifest(hold, kind, "hold"))
    until("the agent to be busy", lambda: all_in("Running", kubectl, [hold]), 60)
    suspend(kubectl, hold, True)
    kubectl.apply(manifest(first, kind, "note"), manifest(second, kind, "note"))
    until("both to be queued", lambda: all_in("Queued", kubectl, [first, second]), 60)
    suspend(kubectl, first, True)
    until("the first to be withdrawn", lambda: is_suspended(kubectl, first), 60)
    assert statuses(kubectl)[hold]["phase"] == "Running"

    # What was withdrawn stays so when another operator takes over.
    operator.kill()
    start.operator()
    kubectl("patch", "task", hold, "--type=merge", "-p", '{"spec":{"cancel":"Graceful"}}')
    until("the second to be done", lambda: all_in("Succeeded", kubectl, [second]), 90)
    assert is_suspended(kubectl, first)
    suspend(kubectl, first, False)
    until("the first to be done", lambda: all_in("Succeeded", kubectl, [first]), 90)
    assert diary.read_text().split() == [second, first]
