"""Work that kills the agent that takes it: it ends as a dead letter, and nothing else suffers from it."""

import asyncio
import json
import statistics
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.api import KEY, Api
from tests.support.api import running as running_api
from tests.support.keys import record, write
from tests.support.kubectl import Kubectl
from tests.support.processes import UNHEARD, Processes, free_port
from tests.support.release import manifest
from tests.support.scripted_agent import scripted_agent
from tests.support.servers import Vhost
from tests.support.waiting import until

from harebell_bus.envelopes import Started, Succeeded
from harebell_bus.topology import DELIVERY_LIMIT

from .observing import dead_letter, dead_letters, finished, metric, reasons, running

# A Python process that dies takes a second to come back, and many do.
pytestmark = pytest.mark.timeout(300, func_only=True)

FRAGILE = {"HAREBELL_AGENT_MODULE": "tests.integration.operator.fragile:agent"}


def retries(count: int) -> dict[str, Any]:
    return {"maxRetries": count, "backoff": {"initialSeconds": 0}}


def create(kubectl: Kubectl, *tasks: dict[str, Any]) -> None:
    """Create many Tasks; one request each, where apply needs two."""
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": tasks}))


async def test_a_deadly_task_is_dead_lettered_after_1_and_n_attempts_and_can_be_done_again(
    start: Processes, kubectl: Kubectl, vhost: Vhost, kubeconfig: Path, tmp_path: Path
) -> None:
    port, cure, keys = free_port(), tmp_path / "cure", tmp_path / "keys"
    write(keys, record(KEY))
    operator = start.operator(HAREBELL_PORT=str(port), **UNHEARD)
    with start.supervised("victim", "deadly", **FRAGILE) as victim:
        poison = manifest("poison", "deadly", "deadly", payload={"cure": str(cure)}, retryPolicy=retries(2))
        kubectl.apply(poison)
        done = await asyncio.to_thread(finished, kubectl, "poison", 120)
        assert (done["phase"], done["reason"]) == ("DeadLettered", "RetriesExhausted")
        assert (done["attempt"], done["failures"], victim.deaths) == (3, 3, 3)
        assert [(a["attempt"], a["agentName"], a["outcome"]) for a in done["attempts"]] == [
            (n, "victim", "Lost") for n in (1, 2, 3)
        ]
        assert all(a["error"]["code"] == "AgentLost" and a["completedAt"] for a in done["attempts"])

        uid = kubectl.get("task", "poison")["metadata"]["uid"]
        body, reason = await dead_letter(vhost.operator_url, uid)
        assert json.loads(body)["task"]["uid"] == uid
        assert reason == done["error"]["message"] == "agent victim is gone"
        expected = ["AttemptLost", "AttemptLost", "RetriesExhausted"]
        until("its Events", lambda: reasons(kubectl, "poison") == expected)
        assert metric(port, 'harebell_tasks_finished_total{agent_type="deadly",phase="DeadLettered"}') == 1
        logged = [json.loads(line) for line in operator.log.read_text().splitlines()]
        assert ("WARNING", "Task poison: DeadLettered (RetriesExhausted) after attempt 3") in [
            (line["level"], line["message"]) for line in logged
        ]

        cure.touch()
        with running_api(kubeconfig, kubectl.namespace, keys) as api:
            await asyncio.to_thread(replay, api, kubectl, uid)


def replay(api: Api, kubectl: Kubectl, uid: str) -> None:
    """Do the Task again, its cause mended: once however often it is asked for."""
    for _ in range(2):
        made = api.http.post("/api/v1/replay/poison")
        assert (made.status_code, made.json()["name"]) == (202, "poison-r1")
    again = finished(kubectl, "poison-r1", 60)
    assert (again["phase"], again["attempt"], again["result"]) == ("Succeeded", 1, "cured")
    assert kubectl.get("task", "poison-r1")["spec"]["replayOf"] == {"name": "poison", "uid": uid}


def test_dead_letters_are_done_again_by_label(
    start: Processes, kubectl: Kubectl, kubeconfig: Path, tmp_path: Path
) -> None:
    cure, keys = tmp_path / "cure", tmp_path / "keys"
    write(keys, record(KEY))
    start.operator()
    start.agent("nurse", "sick", **FRAGILE)
    names = [f"sick-{n}" for n in range(3)]
    tasks = [
        manifest(n, "sick", "curable", payload={"cure": str(cure)}, retryPolicy=retries(0)) for n in names
    ]
    for task in tasks[:2]:
        task["metadata"]["labels"] = {"ward": "a"}
    create(kubectl, *tasks)
    uids = {}
    for name in names:
        assert finished(kubectl, name, 60)["phase"] == "DeadLettered"
        uids[name] = kubectl.get("task", name)["metadata"]["uid"]
    cure.touch()
    with running_api(kubeconfig, kubectl.namespace, keys) as api:
        answer = api.http.post("/api/v1/replay", json={"labelSelector": "ward=a"})
        assert answer.status_code == 202
        made = {item["taskId"]: item["replayedAs"] for item in answer.json()["items"]}
    assert made == {"sick-0": "sick-0-r1", "sick-1": "sick-1-r1"}
    for name, again in made.items():
        assert finished(kubectl, again, 60)["phase"] == "Succeeded"
        assert kubectl.get("task", again)["spec"]["replayOf"] == {"name": name, "uid": uids[name]}
        assert kubectl.get("task", again)["metadata"]["labels"]["ward"] == "a"
    assert not kubectl("get", "task", "sick-2-r1", "--ignore-not-found")


@pytest.mark.parametrize("priority", ["critical", "normal"])
def test_work_that_kills_whoever_reads_it_costs_attempts_and_not_agents_without_end(
    start: Processes, kubectl: Kubectl, priority: str
) -> None:
    kind = f"fatal-{priority}"
    start.operator(**UNHEARD)
    with start.supervised(f"reader-{priority}", kind, **FRAGILE) as reader:
        kubectl.apply(
            manifest(kind, kind, "fine", payload={"fatal": True}, priority=priority, retryPolicy=retries(1))
        )
        done = finished(kubectl, kind, 120)
        assert (done["phase"], done["reason"]) == ("DeadLettered", "RetriesExhausted")
        assert [a["outcome"] for a in done["attempts"]] == ["Lost", "Lost"]
        # Each attempt kills one before it is told of, and one after; and one more where the acknowledgement
        # was lost with the connection of who died, as a reset makes it.
        assert 4 <= reader.deaths <= 6
        kubectl.apply(manifest(f"{kind}-after", kind, "fine"))
        assert finished(kubectl, f"{kind}-after", 60)["phase"] == "Succeeded"


async def test_work_that_nobody_lives_to_start_is_dead_lettered_when_the_broker_gives_up(
    start: Processes, kubectl: Kubectl, vhost: Vhost
) -> None:
    start.operator(**UNHEARD)
    # Critical: kept in a queue that counts deliveries.
    await asyncio.to_thread(
        kubectl.apply, manifest("unstartable", "mute", priority="critical", retryPolicy=retries(3))
    )
    deliveries = 0
    while deliveries <= DELIVERY_LIMIT:
        async with scripted_agent(vhost.agent_url("mute"), "mute", "mute") as agent:
            await agent.register()
            await agent.take(60)
            deliveries += 1
    done = await asyncio.to_thread(finished, kubectl, "unstartable")
    assert (done["phase"], done["reason"], done["failures"]) == ("DeadLettered", "DeliveryLimit", 1)
    (attempt,) = done["attempts"]
    assert (attempt["attempt"], attempt["outcome"], "agentName" in attempt) == (1, "Lost", False)
    uid = kubectl.get("task", "unstartable")["metadata"]["uid"]
    body, reason = await dead_letter(vhost.operator_url, uid)
    assert json.loads(body)["task"]["uid"] == uid
    assert reason == attempt["error"]["message"]
    assert "gone before it had started it" in reason
    until("its Event", lambda: reasons(kubectl, "unstartable") == ["DeliveryLimit"])


def test_a_crash_is_noticed_at_once_when_the_process_comes_back(start: Processes, kubectl: Kubectl) -> None:
    start.operator(**UNHEARD)
    with start.supervised("phoenix", "phoenix", **FRAGILE) as phoenix:
        kubectl.apply(manifest("burnt", "phoenix", "stuck-at-first", retryPolicy=retries(1)))
        running(kubectl, "burnt")
        phoenix.kill()
        done = finished(kubectl, "burnt", 90)
    assert (done["phase"], done["result"], done["agentName"]) == ("Succeeded", 2, "phoenix")
    assert done["attempts"][0]["outcome"] == "Lost"


def test_a_crash_is_noticed_at_once_when_the_pod_is_gone(start: Processes, kubectl: Kubectl) -> None:
    start.operator(**UNHEARD)
    first = start.agent("pod-a", "podded", **FRAGILE, **pod(kubectl, "pod-a"))
    kubectl.apply(manifest("moved", "podded", "stuck-at-first", retryPolicy=retries(1)))
    assert running(kubectl, "moved") == "pod-a"
    first.kill()
    kubectl("delete", "pod", "pod-a", "--grace-period=0", "--force")
    start.agent("pod-b", "podded", **FRAGILE, **pod(kubectl, "pod-b"))
    done = finished(kubectl, "moved", 90)
    assert (done["phase"], done["result"], done["agentName"]) == ("Succeeded", 2, "pod-b")
    assert done["attempts"][0]["outcome"] == "Lost"


def pod(kubectl: Kubectl, name: str) -> dict[str, str]:
    """Create a Pod that no node takes, and return what tells an agent that it runs in it."""
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"harebell.dev/agent-type": "podded"}},
            "spec": {
                "nodeSelector": {"example.com/none": "such"},
                "containers": [{"name": "agent", "image": "agent"}],
            },
        }
    )
    uid = kubectl.get("pod", name)["metadata"]["uid"]
    return {"POD_NAME": name, "POD_NAMESPACE": kubectl.namespace, "POD_UID": uid}


def test_what_cannot_succeed_fails_at_once(start: Processes, kubectl: Kubectl) -> None:
    start.operator()
    start.agent("realist", "hopeless", **FRAGILE)
    kubectl.apply(manifest("hopeless", "hopeless", "hopeless", retryPolicy=retries(5)))
    done = finished(kubectl, "hopeless", 60)
    assert (done["phase"], done["reason"], done["attempt"]) == ("Failed", "NoSuchAccount", 1)
    assert done["error"] == {"code": "NoSuchAccount", "message": "there is no such account"}
    until("its Event", lambda: reasons(kubectl, "hopeless") == ["NoSuchAccount"])


# ---- many of them --------------------------------------------------------------------------------------

EACH = 200
AGENTS = 6


class Fragile:
    """An agent that is gone the moment it has started something deadly, and comes back as a new process."""

    def __init__(self, url: str, name: str, deaths: Counter[str]) -> None:
        self._url, self._name, self._deaths = url, name, deaths

    async def run(self) -> None:
        while True:
            async with scripted_agent(self._url, self._name, "mixed") as agent:
                await agent.register()
                while True:
                    work, message = await agent.take(600)
                    await agent.say(Started, work)
                    await message.ack()
                    if work.action == "deadly":
                        self._deaths[work.task.name] += 1
                        break
                    await agent.say(Succeeded, work, result=work.attempt)


@pytest.mark.alone
async def test_200_deadly_tasks_among_200_good_ones(
    start: Processes, kubectl: Kubectl, vhost: Vhost, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    start.operator(HAREBELL_PORT=str(port), **UNHEARD)
    start.agent("calm", "calm")
    good, deadly = [f"good-{n}" for n in range(EACH)], [f"deadly-{n}" for n in range(EACH)]
    tasks = []
    for pair in zip(good, deadly, strict=True):
        for name in pair:
            task = manifest(name, "mixed", name.split("-")[0], retryPolicy=retries(1))
            tasks.append({**task, "metadata": {"name": name, "labels": {"batch": "mixed"}}})
    deaths: Counter[str] = Counter()
    url = vhost.agent_url("mixed")
    async with asyncio.TaskGroup() as group:
        agents = [group.create_task(Fragile(url, f"fragile-{n}", deaths).run()) for n in range(AGENTS)]
        calm = group.create_task(asyncio.to_thread(create, kubectl, *tasks))
        waits = [await asyncio.to_thread(undisturbed, kubectl, 0)]
        await calm
        found: dict[str, dict[str, Any]] = {}
        while not found:
            waits.append(await asyncio.to_thread(undisturbed, kubectl, len(waits)))
            found = await asyncio.to_thread(all_finished, kubectl)
        for agent in agents:
            agent.cancel()

    assert {(found[n]["phase"], found[n]["attempt"], found[n]["failures"]) for n in good} == {
        ("Succeeded", 1, 0)
    }
    assert {
        (found[n]["phase"], found[n]["reason"], found[n]["attempt"], len(found[n]["attempts"]))
        for n in deadly
    } == {("DeadLettered", "RetriesExhausted", 2, 2)}
    # Where an acknowledgement is lost with its connection the message comes again. That is no attempt:
    # whoever starts it is told to stop. Only these agents are dead before they hear it.
    assert deaths.keys() == set(deadly)
    assert min(deaths.values()) == 2
    assert metric(port, 'harebell_tasks_finished_total{agent_type="mixed",phase="DeadLettered"}') == EACH
    assert await dead_letters(vhost.operator_url) >= set(deadly)
    with capsys.disabled():
        print(
            f"\n{EACH} deadly and {EACH} good Tasks; another type's Tasks meanwhile, from creation to end: "
            f"median {statistics.median(waits):.1f} s, worst {max(waits):.1f} s, of {len(waits)}"
        )
    assert max(waits) < 30


def undisturbed(kubectl: Kubectl, number: int) -> float:
    """Have another type's agent do a Task, and return the seconds from its creation to its end."""
    name = f"calm-{number}"
    kubectl.apply(manifest(name, "calm"))
    done = finished(kubectl, name, 120)
    assert (done["phase"], done["attempt"]) == ("Succeeded", 1)
    created = datetime.fromisoformat(kubectl.get("task", name)["metadata"]["creationTimestamp"])
    took: timedelta = datetime.fromisoformat(done["completedAt"]) - created
    return took.total_seconds()


def all_finished(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    """Return every status of the batch by name, or none while one is not final."""
    found = {t["metadata"]["name"]: t.get("status", {}) for t in kubectl.items("tasks", "-l", "batch=mixed")}
    return found if all("completedAt" in s for s in found.values()) else {}
