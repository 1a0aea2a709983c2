"""Priorities that change while a Task waits, and messages that only the broker's memory held."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import aio_pika
import pytest
from tests.support.kubectl import CommandFailed, Kubectl
from tests.support.lanes import counts
from tests.support.processes import Process, Processes, free_port
from tests.support.release import manifest
from tests.support.servers import Servers
from tests.support.tasks import all_in, prioritize, statuses
from tests.support.waiting import until

from harebell_bus.lanes import LANES, LEVELS, Tier, lane_of

WAITING = 50


@pytest.fixture
def diarist(start: Processes, tmp_path: Path) -> Callable[[str], tuple[Process, Path, int]]:
    """Starts an agent of a type; returns it, its diary and the port of its metrics."""

    def begin(agent_type: str) -> tuple[Process, Path, int]:
        diary, port = tmp_path / f"{agent_type}.diary", free_port()
        process = start.agent(
            f"{agent_type}-1",
            agent_type,
            HAREBELL_AGENT_MODULE=f"{__name__.rpartition('.')[0]}.diary:agent",
            HAREBELL_PORT=str(port),
            DIARY=str(diary),
        )
        return process, diary, port

    return begin


def dropped(port: int) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("harebell_agent_superseded_me")))


@pytest.mark.parametrize("there", [True, False], ids=["agent busy", "agent comes later"])
@pytest.mark.timeout(240)
def test_a_waiting_task_whose_priority_changes_runs_when_it_should(
    start: Processes,
    kubectl: Kubectl,
    diarist: Callable[[str], tuple[Process, Path, int]],
    there: bool,
) -> None:
    kind = "moved-here" if there else "moved-later"
    start.operator()
    if there:
        _, diary, port = diarist(kind)
        kubectl.apply(manifest(f"{kind}-hold", kind, "hold"))
        until("the agent to be busy", lambda: all_in("Running", kubectl, [f"{kind}-hold"]))
    raised, lowered = f"{kind}-raised", f"{kind}-lowered"
    others = [f"{kind}-{n}" for n in range(WAITING - 2)]
    kubectl.apply(
        manifest(raised, kind, "note", priority="background"),
        manifest(lowered, kind, "note", priority="critical"),
        *[manifest(n, kind, "note", priority=LEVELS[1 + i % 3]) for i, n in enumerate(others)],
    )
    names = [raised, lowered, *others]
    until("all to be queued", lambda: all_in("Queued", kubectl, names), 60)
    prioritize(kubectl, raised, "critical")
    prioritize(kubectl, lowered, "background")
    until("both to be moved", lambda: all(statuses(kubectl)[n].get("dispatch") == 1 for n in names[:2]), 60)
    if there:
        kubectl("patch", "task", f"{kind}-hold", "--type=merge", "-p", '{"spec":{"cancel":"Graceful"}}')
    else:
        _, diary, port = diarist(kind)
    until("all to be done", lambda: all_in("Succeeded", kubectl, names), 90)
    until("the earlier messages to be dropped", lambda: dropped(port) == 2, 60)
    done = diary.read_text().split()
    assert (done[0], done[-1]) == (raised, lowered)
    assert sorted(done) == sorted(names)
    assert {statuses(kubectl)[n]["attempt"] for n in names} == {1}
    with pytest.raises(CommandFailed, match="immutable once the Task runs"):
        prioritize(kubectl, raised, "low")


@pytest.mark.alone
@pytest.mark.timeout(400)
def test_what_the_brokers_memory_held_is_published_again_after_its_crash(
    start: Processes,
    kubectl: Kubectl,
    servers: Servers,
    amqp_url: str,
    diarist: Callable[[str], tuple[Process, Path, int]],
) -> None:
    kind = "memory"
    start.operator()
    names = [f"{kind}-{level}-{n}" for level in LEVELS for n in range(6)]
    tiers = {level: ("Memory" if level != "low" else "Disk") for level in LEVELS}
    tasks = [manifest(n, kind, "note", priority=n.split("-")[1]) for n in names]
    for task in tasks:
        task["spec"]["persistence"] = tiers[task["spec"]["priority"]]
    kubectl.apply(*tasks)
    until("all to be queued", lambda: all_in("Queued", kubectl, names), 60)
    specs = [task["spec"] for task in tasks]
    expected = Counter(lane_of(spec["priority"], Tier(spec["persistence"])) for spec in specs)
    assert asyncio.run(counts(amqp_url, kind, expected)) == expected

    servers.kubectl("delete", "pod", "rabbit-rabbitmq-0", "--grace-period=0", "--force")
    servers.kubectl("rollout", "status", "statefulset/rabbit-rabbitmq", "--timeout=180s", seconds=200)

    def restored() -> bool:
        # A message may be in the Disk lane of its level, if its own lane's node was seen to be away.
        try:
            return sum(asyncio.run(counts(amqp_url, kind, LANES)).values()) == len(names)
        except (aio_pika.exceptions.AMQPError, OSError) as error:
            raise LookupError(str(error)) from error

    # With no agent there, so it is the count that shows the loss.
    until("every message to wait again", restored, 120)
    _, diary, _ = diarist(kind)
    until("all to be done", lambda: all_in("Succeeded", kubectl, names), 90)
    done = diary.read_text().split()
    assert sorted(done) == sorted(names)
    assert [n.split("-")[1] for n in done] == [level for level in LEVELS for _ in range(6)]
    assert {statuses(kubectl)[n]["attempt"] for n in names} == {1}
