"""Tasks that are cancelled or deleted while they wait in the queue: nobody begins them."""

import asyncio
from pathlib import Path

import pytest
from tests.support.kubectl import Kubectl
from tests.support.lanes import counts
from tests.support.processes import UNHEARD, Processes
from tests.support.release import manifest
from tests.support.tasks import all_in
from tests.support.waiting import until

from harebell_bus.lanes import Tier, lane_of

from .conftest import diarist


def cancel(kubectl: Kubectl, name: str) -> None:
    kubectl("patch", "task", name, "--type=merge", "-p", '{"spec":{"cancel":"Graceful"}}')


@pytest.mark.timeout(240)
def test_what_is_called_off_while_its_agent_is_busy_is_never_begun(
    start: Processes, kubectl: Kubectl, tmp_path: Path
) -> None:
    kind, diary = "busy", tmp_path / "diary"
    names = {what: f"{kind}-{what}" for what in ("hold", "cancelled", "deleted", "late", "last")}
    waiting = [names[what] for what in ("cancelled", "deleted", "late", "last")]
    start.operator()
    diarist(start, kind, diary)
    kubectl.apply(manifest(names["hold"], kind, "hold"))
    until("the agent to be busy", lambda: all_in("Running", kubectl, [names["hold"]]), 60)
    late = {names["late"]: {"queueDeadlineSeconds": 8}}
    kubectl.apply(*[manifest(name, kind, "note", **late.get(name, {})) for name in waiting])
    until("all to be queued", lambda: all_in("Queued", kubectl, waiting), 60)
    cancel(kubectl, names["cancelled"])
    kubectl("delete", "task", names["deleted"])
    until("one to be cancelled", lambda: all_in("Cancelled", kubectl, [names["cancelled"]]), 60)
    until("one to be late", lambda: all_in("Failed", kubectl, [names["late"]]), 60)

    cancel(kubectl, names["hold"])
    until("the last to be done", lambda: all_in("Succeeded", kubectl, [names["last"]]), 90)
    assert diary.read_text().split() == [names["last"]]


@pytest.mark.timeout(240)
def test_what_is_cancelled_while_no_operator_runs_is_dropped_by_agents_that_come_later(
    start: Processes, kubectl: Kubectl, amqp_url: str, tmp_path: Path
) -> None:
    kind, diary = "later", tmp_path / "diary"
    left, last = f"{kind}-left", f"{kind}-last"
    lane = lane_of("background", Tier.MEMORY)
    operator = start.operator()
    kubectl.apply(manifest(left, kind, "note", priority="background"))
    until("it to be queued", lambda: all_in("Queued", kubectl, [left]), 60)
    operator.kill()
    cancel(kubectl, left)
    start.operator()
    until("it to be cancelled", lambda: all_in("Cancelled", kubectl, [left]), 60)
    assert asyncio.run(counts(amqp_url, kind, [lane])) == {lane: 1}

    diarist(start, kind, diary)
    # Its agents look into that lane from now on.
    kubectl.apply(manifest(last, kind, "note", priority="background"))
    until("another to be done", lambda: all_in("Succeeded", kubectl, [last]), 60)
    assert diary.read_text().split() == [last]
    assert asyncio.run(counts(amqp_url, kind, [lane])) == {lane: 0}


@pytest.mark.timeout(240)
def test_what_was_cancelled_and_is_gone_is_dropped_by_agents_that_come_later(
    start: Processes, kubectl: Kubectl, amqp_url: str, tmp_path: Path
) -> None:
    kind, diary = "gone", tmp_path / "diary"
    left, last = f"{kind}-left", f"{kind}-last"
    lane = lane_of("background", Tier.MEMORY)
    start.operator()
    kubectl.apply(manifest(left, kind, "note", priority="background", ttlSecondsAfterFinished=0))
    until("it to be queued", lambda: all_in("Queued", kubectl, [left]), 60)
    cancel(kubectl, left)
    until("it to be gone", lambda: left not in [t["metadata"]["name"] for t in kubectl.items("tasks")], 60)
    assert asyncio.run(counts(amqp_url, kind, [lane])) == {lane: 1}

    diarist(start, kind, diary)
    # Its agents look into that lane from now on.
    kubectl.apply(manifest(last, kind, "note", priority="background"))
    until("another to be done", lambda: all_in("Succeeded", kubectl, [last]), 60)
    assert diary.read_text().split() == [last]
    assert asyncio.run(counts(amqp_url, kind, [lane])) == {lane: 0}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("agent", ["that was there", "that comes later"])
def test_what_is_deleted_while_no_operator_runs_is_not_begun(
    start: Processes, kubectl: Kubectl, tmp_path: Path, agent: str
) -> None:
    """The next operator has never heard of it; agents ask about all that this one has not published."""
    there = agent == "that was there"
    kind, diary = f"unknown-{'there' if there else 'later'}", tmp_path / "diary"
    hold, left, kept, last = (f"{kind}-{what}" for what in ("hold", "left", "kept", "last"))
    operator = start.operator(**UNHEARD)
    if there:
        diarist(start, kind, diary)
        kubectl.apply(manifest(hold, kind, "hold"))
        until("the agent to be busy", lambda: all_in("Running", kubectl, [hold]), 60)
    kubectl.apply(manifest(left, kind, "note"), manifest(kept, kind, "note"))
    until("both to be queued", lambda: all_in("Queued", kubectl, [left, kept]), 60)
    operator.kill()
    kubectl("delete", "task", left)
    start.operator(**UNHEARD)
    # Published by this one.
    kubectl.apply(manifest(last, kind, "note"))
    until("it to be queued", lambda: all_in("Queued", kubectl, [last]), 60)
    if there:
        cancel(kubectl, hold)
    else:
        diarist(start, kind, diary)
    until("the others to be done", lambda: all_in("Succeeded", kubectl, [kept, last]), 60)
    assert sorted(diary.read_text().split()) == sorted([kept, last])
