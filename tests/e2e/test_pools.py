"""AgentPools with real Pods: scaled, rolled out and deleted while their agents work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.api import Images
from tests.support.kubectl import Kubectl
from tests.support.release import Release, manifest
from tests.support.waiting import until

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
COMES_UP = 120
GOES = 90

pytestmark = pytest.mark.timeout(600)


def pool(images: Images, replicas: int) -> dict[str, Any]:
    agent = {
        "name": "agent",
        "image": images.agent,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "HAREBELL_COMMAND_ALLOW", "value": '[{"argv": ["sh", "-c"], "idempotent": true}]'}],
    }
    return {
        "apiVersion": "harebell.dev/v1alpha1",
        "kind": "AgentPool",
        "metadata": {"name": "crew"},
        "spec": {"type": "crew", "replicas": replicas, "template": {"spec": {"containers": [agent]}}},
    }


def status(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = kubectl.get("agentpool", "crew").get("status", {})
    return found


def pods(kubectl: Kubectl) -> set[str]:
    """Names of the pool's Pods that are not ending."""
    return {
        p["metadata"]["name"]
        for p in kubectl.items("pods", "-l", "harebell.dev/agent-pool=crew")
        if "deletionTimestamp" not in p["metadata"]
    }


def ready(kubectl: Kubectl, replicas: int) -> None:
    def enough() -> bool:
        found = status(kubectl)
        return found.get("readyReplicas") == found.get("updatedReplicas") == len(pods(kubectl)) == replicas

    until(f"{replicas} agents", enough, COMES_UP)


def scale(kubectl: Kubectl, replicas: int) -> None:
    kubectl("scale", "agentpool/crew", f"--replicas={replicas}")


def begin(release: Release, name: str) -> str:
    """Have an agent of the pool work until it is told to end, and return the agent's name."""
    script = f"until test -e /tmp/{name}; do sleep 0.2; done"
    payload = {"argv": ["sh", "-c", script], "timeoutSeconds": 900}
    release.kubectl.apply(manifest(name, "crew", "command", payload=payload))
    until(f"Task {name} to run", lambda: release.phase(name) == "Running", 60)
    return str(release.task(name)["status"]["agentName"])


def end(release: Release, name: str, agent: str) -> None:
    """Let the work end, which must have been the first attempt's, by the same agent."""
    release.kubectl("exec", agent, "-c", "agent", "--", "touch", f"/tmp/{name}")  # noqa: S108
    found = release.finished(name)
    assert (found["phase"], found["attempt"], found["agentName"]) == ("Succeeded", 1, agent)


@pytest.fixture(autouse=True)
def crew(release: Release, images: Images) -> Iterator[None]:
    """A pool with one agent; gone afterwards with its Pods and Tasks, so that no other test meets them."""
    kubectl = release.kubectl
    kubectl.apply(pool(images, 1))
    ready(kubectl, 1)
    yield
    crews = [t["metadata"]["name"] for t in kubectl.items("tasks") if t["spec"]["agentType"] == "crew"]
    if crews:
        kubectl("delete", "tasks", "--ignore-not-found", *crews)
    kubectl("delete", "agentpool", "crew", "--ignore-not-found")
    until("its Pods to go", lambda: not kubectl.items("pods", "-l", "harebell.dev/agent-pool=crew"), GOES)


def test_scaled_down_the_idle_go_and_the_one_that_works_stays(release: Release, kubectl: Kubectl) -> None:
    busy = begin(release, "pool-long")
    scale(kubectl, 3)
    ready(kubectl, 3)
    scale(kubectl, 1)
    until("the idle ones to go", lambda: pods(kubectl) == {busy}, GOES)
    assert release.phase("pool-long") == "Running"
    header = kubectl("get", "hbp").splitlines()[0]
    assert header.split() == ["NAME", "TYPE", "DESIRED", "READY", "BUSY", "DRAINING", "AGE"]
    figures = ["crew", "crew", "1", "1", "1", "0"]
    until("the figures", lambda: kubectl("get", "hbp").splitlines()[1].split()[:6] == figures)

    # Even the last one: it finishes, unless it is wanted again first.
    scale(kubectl, 0)
    until("it to be drained", lambda: status(kubectl)["drainingReplicas"] == 1)
    until("it to say so", lambda: kubectl.get("agent", busy)["status"]["reason"] == "Paused")
    kubectl.apply(manifest("pool-waits", "crew"))
    scale(kubectl, 1)
    until("it to be wanted again", lambda: status(kubectl)["drainingReplicas"] == 0)
    assert pods(kubectl) == {busy}
    scale(kubectl, 0)
    until("it to be drained again", lambda: status(kubectl)["drainingReplicas"] == 1)
    end(release, "pool-long", busy)
    until("it to go", lambda: not pods(kubectl), GOES)
    assert release.phase("pool-waits") == "Queued"
    scale(kubectl, 1)
    assert release.finished("pool-waits", COMES_UP)["attempt"] == 1


def test_a_new_template_replaces_the_agents_and_loses_no_work(release: Release, kubectl: Kubectl) -> None:
    scale(kubectl, 2)
    ready(kubectl, 2)
    old = pods(kubectl)
    busy = begin(release, "pool-through-it")
    annotations = '{"spec":{"template":{"metadata":{"annotations":{"version":"2"}}}}}'
    kubectl("patch", "agentpool", "crew", "--type=merge", "-p", annotations)

    def replaced() -> bool:
        assert len(pods(kubectl)) <= 3
        return len(pods(kubectl) - old) == 2 and pods(kubectl) & old == {busy}

    until("all but the one that works to be replaced", replaced, 2 * COMES_UP)
    assert release.phase("pool-through-it") == "Running"
    end(release, "pool-through-it", busy)
    ready(kubectl, 2)
    assert not pods(kubectl) & old


def test_deleting_the_pool_removes_its_pods_and_hands_work_back(release: Release, kubectl: Kubectl) -> None:
    begin(release, "pool-handed-back")
    kubectl("delete", "agentpool", "crew")
    until("its Pods to go", lambda: not kubectl.items("pods", "-l", "harebell.dev/agent-pool=crew"), GOES)
    until("the work to wait", lambda: release.phase("pool-handed-back") == "Queued", 60)
    task = release.task("pool-handed-back")["status"]
    assert task["attempts"][0]["outcome"] == "Interrupted"
    assert task["failures"] == 0
    kubectl("delete", "task", "pool-handed-back")


def test_autoscalers_find_what_they_need(release: Release, kubectl: Kubectl) -> None:
    kubectl("autoscale", "agentpool", "crew", "--min=1", "--max=3", "--cpu=50%")
    kubectl("wait", "--for=condition=AbleToScale", "hpa/crew", "--timeout=60s")
    kubectl("delete", "hpa", "crew")
    for example in ("agentpool.yaml", "agentpool-hpa.yaml"):
        kubectl("apply", "--dry-run=server", "-f", str(EXAMPLES / example))
    busy = begin(release, "in-hand")
    kubectl.apply(*[manifest(f"depth-{n}", "crew") for n in range(2)])
    (operator,) = release.pods("operator")

    def figures() -> str:
        path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{operator}:9090/proxy/metrics"
        return kubectl("get", "--raw", path)

    until("the depth", lambda: 'harebell_queue_depth{agent_type="crew"} 2.0' in figures())
    state = 'harebell_pool_replicas{agent_type="crew",pool="crew",state="%s"} 1.0'
    assert all(state % s in figures() for s in ("desired", "current", "ready", "busy", "updated"))
    end(release, "in-hand", busy)
    until("an empty queue", lambda: 'harebell_queue_depth{agent_type="crew"} 0.0' in figures())
