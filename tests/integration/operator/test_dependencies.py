"""Tasks that depend on one another: on the real broker and API server."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.kubectl import Kubectl
from tests.support.processes import Process, Processes, processes
from tests.support.release import manifest
from tests.support.servers import Vhost
from tests.support.tasks import all_in, statuses
from tests.support.waiting import until

from .observing import finished, running, status

EXAMPLE = Path(__file__).parents[3] / "docs/examples/task-graph.yaml"
KIND = "graph"


class Lab:
    """An operator and an agent that all tests share."""

    def __init__(self, start: Processes, folder: Path) -> None:
        self._start, self.folder, self.diary = start, folder, folder / "diary"
        self.operator: Process = start.operator()
        start.agent(
            "grapher",
            KIND,
            HAREBELL_AGENT_MODULE=f"{__name__.rpartition('.')[0]}.graph_agent:agent",
            HAREBELL_AGENT_CONCURRENCY="8",
            DIARY=str(self.diary),
        )
        start.agent("texter", "text", HAREBELL_AGENT_CONCURRENCY="2")

    def restart_operator(self) -> None:
        self.operator.kill()
        self.operator = self._start.operator()

    def done(self) -> list[str]:
        """Names of the Tasks that told, in order; as often as they did."""
        return self.diary.read_text().split() if self.diary.exists() else []


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, vhost: Vhost, namespace: str, kubeconfig: Path
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("graph")
    with processes(folder, vhost.operator_url, vhost.agent_url, namespace, kubeconfig) as start:
        yield Lab(start, folder)


def task(name: str, action: str = "tell", *needs: str, finish: bool = False, **spec: Any) -> dict[str, Any]:
    """Return a Task that needs others to succeed, or just to finish."""
    condition = {"condition": "Finished"} if finish else {}
    return manifest(name, KIND, action, dependsOn=[{"name": n, **condition} for n in needs], **spec)


def waits(kubectl: Kubectl, name: str, reason: str) -> bool:
    found = status(kubectl, name)
    return (found.get("phase"), found.get("reason")) == ("Pending", reason)


def test_results_go_down_a_chain_and_fan_in(lab: Lab, kubectl: Kubectl) -> None:
    # The last first: a Task may be there before those it depends on.
    kubectl.apply(task("end", "tell", "join"))
    kubectl.apply(task("join", "tell", "left", "right"))
    until("one to wait for what is not there", lambda: waits(kubectl, "join", "DependencyMissing"), 60)
    until("one to wait for it", lambda: waits(kubectl, "end", "WaitingForDependencies"), 60)
    assert lab.done() == []
    kubectl.apply(*[task(name, payload={"value": name.upper()}) for name in ("left", "right")])
    result = finished(kubectl, "end", 90)["result"]
    joined = result["inputs"]["join"]
    assert {n: r["value"] for n, r in joined["inputs"].items()} == {"left": "LEFT", "right": "RIGHT"}
    assert lab.done()[2:] == ["join", "end"]
    assert sorted(lab.done()[:2]) == ["left", "right"]


def test_the_example_counts_what_another_task_returned(lab: Lab, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", str(EXAMPLE))
    assert finished(kubectl, "graph-report", 90)["phase"] == "Succeeded"
    counted = status(kubectl, "graph-count-fox")["result"]
    assert (counted["words"], counted["mostFrequentWords"]) == (9, [{"word": "the", "count": 2}])


def test_a_failure_goes_down_the_chain_where_success_is_needed(lab: Lab, kubectl: Kubectl) -> None:
    kubectl.apply(
        task("grandchild", "tell", "child"),
        task("child", "tell", "broken"),
        task("tolerant", "tell", "broken", finish=True),
        task("broken", "fail"),
    )
    assert finished(kubectl, "tolerant", 90)["result"]["inputs"] == {"broken": None}
    for name, cause in (("child", "broken"), ("grandchild", "child")):
        failed = finished(kubectl, name, 60)
        assert (failed["phase"], failed["reason"]) == ("Failed", "DependencyFailed")
        assert f"Task {cause} " in failed["error"]["message"]
    assert not {"child", "grandchild"} & set(lab.done())


def test_every_task_of_a_cycle_ends(lab: Lab, kubectl: Kubectl) -> None:
    # However its members need one another; who only depends on one of them is no member.
    kubectl.apply(
        task("after", "tell", "ring-1", finish=True),
        task("ring-1", "tell", "ring-2", finish=True),
        task("ring-2", "tell", "ring-3"),
        task("self", "tell", "self"),
    )
    kubectl.apply(task("ring-3", "tell", "ring-1", finish=True))
    for name in ("ring-1", "ring-2", "ring-3", "self"):
        failed = finished(kubectl, name, 60)
        assert (failed["phase"], failed["reason"]) == ("Failed", "DependencyCycle")
        edge = "self -> self" if name == "self" else "ring-1 -> ring-2"
        assert edge in failed["error"]["message"]
    assert finished(kubectl, "after", 60)["phase"] == "Succeeded"
    assert "ring-1" not in lab.done()


def test_a_retry_gets_the_same_inputs(lab: Lab, kubectl: Kubectl) -> None:
    kubectl.apply(
        task("source", payload={"value": 7}),
        task("again", "tell-at-last", "source", retryPolicy={"backoff": {"initialSeconds": 1}}),
    )
    result = finished(kubectl, "again", 90)["result"]
    assert (result["attempt"], result["inputs"]["source"]["value"]) == (2, 7)


def test_what_finished_counts_also_when_it_is_gone(lab: Lab, kubectl: Kubectl) -> None:
    path = lab.folder / "open"
    kubectl.apply(
        task("heir", "tell", "deleted", "expired", "slow"),
        task("deleted", payload={"value": 1}),
        task("expired", payload={"value": 2}, ttlSecondsAfterFinished=0),
        task("slow", "gate", payload={"path": str(path)}),
    )
    for name in ("deleted", "expired"):
        finished(kubectl, name, 60)
    kubectl("delete", "task", "deleted")
    kubectl.apply(task("unneeded", ttlSecondsAfterFinished=0))
    until("what nobody needs to be done", lambda: "unneeded" in lab.done(), 60)
    until("what nobody needs to go", lambda: "unneeded" not in statuses(kubectl), 60)
    # By its TTL it would be gone by now; but its result is needed.
    assert "expired" in statuses(kubectl)
    path.touch()
    inputs = finished(kubectl, "heir", 60)["result"]["inputs"]
    assert (inputs["deleted"]["value"], inputs["expired"]["value"], inputs["slow"]) == (1, 2, None)
    until("what is needed no more to go", lambda: "expired" not in statuses(kubectl), 60)


def test_suspension_and_cancellation_work_on_one_that_waits(lab: Lab, kubectl: Kubectl) -> None:
    path = lab.folder / "late"
    kubectl.apply(
        task("first", "gate", payload={"path": str(path)}),
        task("held", "tell", "first"),
        task("unwanted", "tell", "first"),
    )
    until("it to wait", lambda: waits(kubectl, "held", "WaitingForDependencies"), 60)
    kubectl("patch", "task", "held", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    kubectl("patch", "task", "unwanted", "--type=merge", "-p", '{"spec":{"cancel":"Graceful"}}')
    until("it to be suspended", lambda: waits(kubectl, "held", "Suspended"), 60)
    assert finished(kubectl, "unwanted", 60)["phase"] == "Cancelled"
    path.touch()
    finished(kubectl, "first", 60)
    assert waits(kubectl, "held", "Suspended")
    kubectl("patch", "task", "held", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    assert finished(kubectl, "held", 60)["phase"] == "Succeeded"


def test_a_graph_goes_on_where_the_operator_left_it(lab: Lab, kubectl: Kubectl) -> None:
    path = lab.folder / "middle"
    kubectl.apply(
        task("one"),
        task("two", "gate", "one", payload={"path": str(path)}),
        task("three", "tell", "one", "two"),
        task("four", "tell", "three"),
    )
    running(kubectl, "two")
    lab.operator.kill()
    path.touch()
    lab.restart_operator()
    assert finished(kubectl, "four", 120)["phase"] == "Succeeded"
    assert sorted(n for n in lab.done() if n in ("one", "three", "four")) == ["four", "one", "three"]
    assert {status(kubectl, n)["attempt"] for n in ("one", "two", "three", "four")} == {1}


def layered(prefix: str, layers: int, width: int, edges: int = 5) -> list[dict[str, Any]]:
    """Return layers of Tasks; each needs some of the layer before."""

    def name(layer: int, n: int) -> str:
        return f"{prefix}-{layer:02}-{n % width:02}"

    return [
        task(name(a, n), "count", *[name(a - 1, n + 7 * k) for k in range(edges if a else 0)])
        for a in range(layers)
        for n in range(width)
    ]


@pytest.mark.timeout(500)
@pytest.mark.parametrize(
    ("layers", "width"), [(10, 20), pytest.param(20, 50, marks=pytest.mark.chaos)], ids=["200", "1000"]
)
def test_a_large_graph_finishes(
    lab: Lab, kubectl: Kubectl, capsys: pytest.CaptureFixture[str], layers: int, width: int
) -> None:
    tasks = layered(f"large{layers}", layers, width)
    names = [t["metadata"]["name"] for t in tasks]
    begun = time.monotonic()
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": tasks})
    kubectl("create", "-f", "-", stdin=listed, seconds=120)
    created = time.monotonic()
    until("all to succeed", lambda: all_in("Succeeded", kubectl, names), 300, interval=2)
    with capsys.disabled():
        took = time.monotonic() - begun
        print(f"\n{len(tasks)} Tasks: created in {created - begun:.0f} s, all done after {took:.0f} s")
    assert status(kubectl, names[-1])["result"] == layers
    order = {name: place for place, name in enumerate(lab.done())}
    assert all(order[d["name"]] < order[t["metadata"]["name"]] for t in tasks for d in t["spec"]["dependsOn"])
