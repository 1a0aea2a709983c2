"""Parts of the system restarting while there is work: nothing accepted is lost, nothing starts over."""

import pytest
from tests.cluster.api import Problem
from tests.cluster.way import Way
from tests.support.kubectl import CommandFailed, Kubectl
from tests.support.release import Release, manifest
from tests.support.waiting import until


def _all_succeed(release: Release, names: list[str], seconds: float) -> list[int]:
    """Wait until every Task has succeeded and return their attempts."""

    def phases() -> dict[str, str] | None:
        items = {t["metadata"]["name"]: t.get("status", {}) for t in release.kubectl.items("tasks")}
        open_tasks = {n: items[n].get("phase") for n in names if items[n].get("phase") != "Succeeded"}
        assert not open_tasks, open_tasks
        return items

    until("every Task to succeed", phases, seconds, interval=1)
    return [release.task(name)["status"]["attempt"] for name in names]


def test_work_goes_on_while_the_operator_restarts(release: Release, kubectl: Kubectl) -> None:
    kubectl.apply(manifest("long", action="sleep", payload={"seconds": 12}))
    until("the Task to run", lambda: release.phase("long") == "Running")
    agent = release.task("long")["status"]["agentName"]
    kubectl("delete", "pod", release.pods("operator")[0], "--grace-period=0", "--force")
    kubectl.apply(manifest("meanwhile"))
    status = release.finished("long", 60)
    assert (status["phase"], status["attempt"], status["agentName"]) == ("Succeeded", 1, agent)
    assert release.finished("meanwhile")["phase"] == "Succeeded"


def test_the_broker_restarts(release: Release, kubectl: Kubectl) -> None:
    kubectl.apply(manifest("through-it", action="sleep", payload={"seconds": 8}))
    until("the Task to run", lambda: release.phase("through-it") == "Running")
    # More than the agents can have begun: some wait in the broker when it goes down.
    waiting = [manifest(f"waiting-{n}", action="sleep", payload={"seconds": 1}) for n in range(10)]
    kubectl.apply(*waiting)
    kubectl("delete", "pod", "-l", "app.kubernetes.io/component=rabbitmq", "--grace-period=0", "--force")
    kubectl.apply(*[manifest(f"during-{n}") for n in range(5)])
    names = ["through-it", *(f"waiting-{n}" for n in range(10)), *(f"during-{n}" for n in range(5))]
    attempts = _all_succeed(release, names, 150)
    assert attempts[0] == 1, "work in flight was started over"
    assert set(attempts[-5:]) == {1}


@pytest.mark.alone
def test_the_api_server_restarts(release: Release, kubectl: Kubectl) -> None:
    cluster = kubectl.cluster
    if cluster.way is Way.EXISTING:
        pytest.fail("this test stops the API server of a cluster of its own; run it without HAREBELL_CLUSTER")
    kubectl.apply(*[manifest(f"api-{n}", action="sleep", payload={"seconds": 3}) for n in range(4)])
    node = f"{cluster.name}-control-plane"
    old = cluster.docker.run("exec", node, "pgrep", "-x", "kube-apiserver").strip()
    cluster.docker.run("exec", node, "kill", "-9", old)

    def answers() -> bool:
        try:
            assert cluster.docker.run("exec", node, "pgrep", "-x", "kube-apiserver").strip() != old
            return bool(kubectl("get", "--raw", "/readyz", seconds=10))
        except (CommandFailed, Problem):
            return False

    until("the API server to answer", answers, 90, interval=1)
    kubectl.apply(manifest("api-after"))
    attempts = _all_succeed(release, [*(f"api-{n}" for n in range(4)), "api-after"], 90)
    assert set(attempts) == {1}

    def rest_is_current() -> bool:
        answer = release.rest("GET", "/api/v1/status/api-after")
        return answer.status == 200 and answer.body["phase"] == "Succeeded"

    until("REST to be current again", rest_is_current, 15)
