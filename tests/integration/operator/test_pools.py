"""AgentPools between the real API server, the real broker, and operators and agents as processes.

The Pods' image does not exist, so they never start; each one's agent is a process of this machine that says
it runs in the Pod. What the operator decides is the same, and nothing has to be built.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.kubectl import CommandFailed, Kubectl
from tests.support.processes import Process, Processes
from tests.support.release import manifest
from tests.support.waiting import until

TYPE = "crew"


def pool(replicas: int, name: str = "crew", **template: Any) -> dict[str, Any]:
    agent = {"name": "agent", "image": "example.com/none", "imagePullPolicy": "Never"}
    spec = {"containers": [agent], "terminationGracePeriodSeconds": 1}
    return {
        "apiVersion": "harebell.dev/v1alpha1",
        "kind": "AgentPool",
        "metadata": {"name": name},
        "spec": {"type": TYPE, "replicas": replicas, "template": {"spec": {**spec, **template}}},
    }


def status(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = kubectl.get("agentpool", "crew").get("status", {})
    return found


def condition(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in status(kubectl)["conditions"] if c["type"] == kind)
    return found


def pods(kubectl: Kubectl) -> dict[str, str]:
    """UIDs of the pool's Pods that are not ending, by name."""
    return {
        p["metadata"]["name"]: p["metadata"]["uid"]
        for p in kubectl.items("pods", "-l", "harebell.dev/agent-pool=crew")
        if "deletionTimestamp" not in p["metadata"]
    }


def scale(kubectl: Kubectl, replicas: int) -> None:
    kubectl("scale", "agentpool/crew", f"--replicas={replicas}")


def agents_for(start: Processes, kubectl: Kubectl, *names: str) -> dict[str, Process]:
    """Start the agents of some Pods, and wait until the pool counts them."""
    uids = pods(kubectl)
    before = status(kubectl).get("readyReplicas", 0)
    started = {
        name: start.agent(
            name,
            TYPE,
            POD_NAME=name,
            POD_UID=uids[name],
            POD_NAMESPACE=kubectl.namespace,
            HAREBELL_COMMAND_ALLOW='[["sh", "-c"]]',
        )
        for name in names
    }
    until("the agents", lambda: status(kubectl)["readyReplicas"] == before + len(names), 60)
    return started


def begin(kubectl: Kubectl, name: str, flag: Path) -> str:
    """Have an agent work until there is a file, and return the agent's name."""
    payload = {"argv": ["sh", "-c", f"until test -e {flag}; do sleep 0.2; done"], "timeoutSeconds": 600}
    kubectl.apply(manifest(name, TYPE, "command", payload=payload))
    until(f"{name} to run", lambda: kubectl.get("task", name).get("status", {}).get("phase") == "Running")
    return str(kubectl.get("task", name)["status"]["agentName"])


@pytest.fixture(autouse=True)
def clean(kubectl: Kubectl) -> Iterator[None]:
    yield
    kubectl("delete", "agentpools,tasks,resourcequotas", "--all")
    until("the Pods to go", lambda: not kubectl.items("pods"), 90)


def test_scaled_down_through_a_restart_the_one_that_works_stays(
    start: Processes, kubectl: Kubectl, tmp_path: Path
) -> None:
    operator = start.operator()
    kubectl.apply(pool(3))
    until("three Pods", lambda: len(pods(kubectl)) == 3)
    agents = agents_for(start, kubectl, *pods(kubectl))
    busy = begin(kubectl, "long", tmp_path / "go")
    (owner,) = kubectl.get("agent", busy)["metadata"]["ownerReferences"]
    assert owner["uid"] == pods(kubectl)[busy]
    scale(kubectl, 1)
    until("the idle ones to go", lambda: set(pods(kubectl)) == {busy}, 60)
    for name in agents.keys() - {busy}:
        agents[name].stop()  # As the kubelet would.
    scale(kubectl, 0)
    until("it to be drained", lambda: status(kubectl)["drainingReplicas"] == 1)
    until("it to say so", lambda: kubectl.get("agent", busy)["status"]["reason"] == "Paused")

    operator.kill()
    start.operator()
    kubectl.apply(manifest("waits", TYPE))
    until("the new operator", lambda: kubectl.get("task", "waits").get("status", {}).get("phase") == "Queued")
    assert set(pods(kubectl)) == {busy}
    (tmp_path / "go").touch()
    until("the work to end", lambda: kubectl.get("task", "long")["status"]["phase"] == "Succeeded")
    assert kubectl.get("task", "long")["status"]["attempt"] == 1
    until("the Pod to go", lambda: not pods(kubectl), 60)
    # It was drained by either operator without a gap in which it could have taken this.
    assert kubectl.get("task", "waits")["status"]["phase"] == "Queued"


def test_a_drain_taken_back_lets_the_agent_work_again(
    start: Processes, kubectl: Kubectl, tmp_path: Path
) -> None:
    start.operator()
    kubectl.apply(pool(1))
    until("a Pod", lambda: len(pods(kubectl)) == 1)
    (name,) = before = pods(kubectl)
    agents_for(start, kubectl, name)
    begin(kubectl, "long", tmp_path / "go")
    scale(kubectl, 0)
    until("it to be drained", lambda: status(kubectl)["drainingReplicas"] == 1)
    scale(kubectl, 1)
    until("the drain to be taken back", lambda: status(kubectl)["drainingReplicas"] == 0)
    (tmp_path / "go").touch()
    kubectl.apply(manifest("next", TYPE))
    until("the next Task", lambda: kubectl.get("task", "next").get("status", {}).get("phase") == "Succeeded")
    assert pods(kubectl) == before


def test_why_no_pod_can_be_made_is_said_and_it_is_tried_again(start: Processes, kubectl: Kubectl) -> None:
    kubectl("create", "quota", "few", "--hard=pods=1")
    until("the quota", lambda: kubectl.get("quota", "few").get("status", {}).get("hard"))
    start.operator()
    kubectl.apply(pool(2))

    def refused() -> bool:
        found = condition(kubectl, "ReplicaFailure")
        return bool(found["reason"] == "FailedCreate" and "quota" in found["message"])

    until("the refusal", refused)
    assert len(pods(kubectl)) == 1
    assert condition(kubectl, "Ready")["status"] == "False"
    reasons = {e["reason"] for e in kubectl.items("events") if e["involvedObject"]["kind"] == "AgentPool"}
    assert {"Created", "FailedCreate"} <= reasons
    kubectl("delete", "quota", "few")
    until("the second Pod", lambda: len(pods(kubectl)) == 2, 90)


def test_a_template_that_is_none_of_a_pod_is_told_and_can_be_mended(
    start: Processes, kubectl: Kubectl
) -> None:
    def told(place: str) -> bool:
        found = condition(kubectl, "ReplicaFailure")
        return found["reason"] == "FailedCreate" and f".containers.0.{place}: " in found["message"]

    def have_env(env: object) -> None:
        change = [{"op": "add", "path": "/spec/template/spec/containers/0/env", "value": env}]
        kubectl("patch", "agentpool", "crew", "--type=json", "-p", json.dumps(change))

    start.operator()
    kubectl.apply(pool(0))
    for env, place in ((["A=b"], "env.0"), ({"A": "b"}, "env"), ([{"name": "P", "value": 1}], "env.0.value")):
        have_env(env)
        scale(kubectl, 1)
        until(f"{place} to be named", partial(told, place))
    have_env([{"name": "A", "value": "b"}])
    until("a Pod", lambda: len(pods(kubectl)) == 1)


def test_a_template_that_does_not_work_is_told_and_stops_at_one_pod(
    start: Processes, kubectl: Kubectl
) -> None:
    start.operator()
    kubectl.apply(pool(2))
    until("two Pods", lambda: len(pods(kubectl)) == 2)
    old = pods(kubectl)
    agents_for(start, kubectl, *old)
    bad = {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}
    kubectl("patch", "agentpool", "crew", "--type=merge", "-p", json.dumps(bad))
    until("one more", lambda: len(pods(kubectl)) == 3)
    (new,) = pods(kubectl).keys() - old.keys()

    def told() -> bool:
        found = condition(kubectl, "ReplicaFailure")
        counts = status(kubectl)["updatedReplicas"], status(kubectl)["readyReplicas"]
        return (found["reason"], *counts) == ("ErrImageNeverPull", 1, 2) and new in found["message"]

    until("the reason", told, 60)
    assert condition(kubectl, "Progressing")["reason"] == "RollingOut"
    assert pods(kubectl).keys() == {*old, new}
    # Taken back, what did not work is removed.
    good = [{"op": "remove", "path": "/spec/template/metadata"}]
    kubectl("patch", "agentpool", "crew", "--type=json", "-p", json.dumps(good))
    until("the old state", lambda: pods(kubectl) == old, 60)


def test_a_pod_somebody_deletes_is_replaced_and_the_pool_s_end_is_theirs(
    start: Processes, kubectl: Kubectl
) -> None:
    start.operator()
    kubectl.apply(pool(1))
    until("a Pod", lambda: len(pods(kubectl)) == 1)
    (first,) = pods(kubectl)
    kubectl("delete", "pod", first, "--wait=false")
    until("another", lambda: len(pods(kubectl)) == 1 and first not in pods(kubectl))
    kubectl("delete", "agentpool", "crew")
    until("no Pod", lambda: not kubectl.items("pods"), 60)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"type": "other"}, "spec.type is immutable"),
        ({"replicas": -1}, "spec.replicas"),
        ({"template": {"spec": {"containers": [{"name": "main", "image": "i"}]}}}, "called agent"),
        ({"template": {"spec": {"restartPolicy": "Never"}}}, "restartPolicy"),
        ({"strategy": {"rollingUpdate": {"maxSurge": 0}}}, "cannot both be 0"),
    ],
)
def test_mistakes_are_refused_by_the_name_of_the_field(
    kubectl: Kubectl, change: dict[str, Any], complaint: str
) -> None:
    kubectl.apply(pool(0))
    with pytest.raises(CommandFailed, match=complaint):
        kubectl("patch", "agentpool", "crew", "--type=merge", "-p", json.dumps({"spec": change}))


def test_a_name_too_long_for_a_label_is_refused(kubectl: Kubectl) -> None:
    with pytest.raises(CommandFailed, match="52 characters"):
        kubectl.apply(pool(0, name="c" * 53))
