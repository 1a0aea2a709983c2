"""Agents that stop listening, and those outside of the cluster that come and go."""

import json
import signal
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes, free_port
from tests.support.release import manifest
from tests.support.waiting import until

from harebell_operator.attention import AWAY

from .observing import metric, reasons, running

SECONDS = 90

pytestmark = pytest.mark.timeout(300)


def agents(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    return {a["metadata"]["name"]: a for a in kubectl.items("agents")}


def condition(agent: dict[str, Any], kind: str) -> dict[str, Any]:
    found = [c for c in agent.get("status", {}).get("conditions", []) if c["type"] == kind]
    return dict(found[0])


def becomes(kubectl: Kubectl, name: str, phase: str) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        found = agents(kubectl)[name]
        return found if found.get("status", {}).get("phase") == phase else None

    return until(f"agent {name} to be {phase}", there, SECONDS)


def says(kubectl: Kubectl, name: str, status: str, reason: str) -> None:
    def there() -> bool:
        found = condition(agents(kubectl)[name], "Consuming")
        return (found["status"], found["reason"]) == (status, reason)

    until(f"Consuming of {name} to be {status}, {reason}", there, SECONDS)


def task(kubectl: Kubectl, name: str) -> dict[str, Any]:
    return dict(kubectl.get("task", name).get("status", {}))


def column(kubectl: Kubectl, name: str, title: str) -> str:
    """Return what ``kubectl get agents -o wide`` shows; no value of these has a blank."""
    heads, *rows = (line.split() for line in kubectl("get", "agents", "-o", "wide").splitlines())
    return next(row for row in rows if row[0] == name)[heads.index(title)]


def test_an_agent_in_a_pod_of_another_cluster_keeps_its_agent(start: Processes, kubectl: Kubectl) -> None:
    start.operator()
    # The same namespace there; here nothing of that name, so Kubernetes would collect what it owns.
    elsewhere = {"POD_NAMESPACE": kubectl.namespace, "POD_NAME": "far", "POD_UID": str(uuid4())}
    start.agent("far", **elsewhere)
    made = becomes(kubectl, "far", "Online")
    assert made["status"]["podName"] == "far"
    kubectl("patch", "agent", "far", "--type=merge", "-p", '{"spec":{"paused":true}}')
    paused = becomes(kubectl, "far", "Paused")
    assert (paused["metadata"]["uid"], "ownerReferences" in paused["metadata"]) == (
        made["metadata"]["uid"],
        False,
    )


def test_an_agent_that_stopped_listening_is_shown_and_is_not_taken_for_idle(
    start: Processes, kubectl: Kubectl, tmp_path: Path
) -> None:
    port, lets_go = free_port(), tmp_path / "lets-go"
    start.operator(HAREBELL_OFFLINE_SECONDS="12", HAREBELL_PORT=str(port))
    module = f"{__name__.rpartition('.')[0]}.clinging:agent"
    start.agent("clings", "clinging", HAREBELL_AGENT_MODULE=module, LETS_GO=str(lets_go))
    becomes(kubectl, "clings", "Online")
    says(kubectl, "clings", "True", "Listening")

    kubectl.apply(manifest("never-ends", "clinging", "cling"))
    running(kubectl, "never-ends")
    kubectl("patch", "task", "never-ends", "--type=merge", "-p", '{"spec":{"cancel":"Immediate"}}')
    says(kubectl, "clings", "False", "NotListening")
    assert agents(kubectl)["clings"]["status"]["phase"] == "Online"
    assert agents(kubectl)["clings"]["status"]["lastDeliveryTime"]
    assert column(kubectl, "clings", "CONSUMING") == "False"
    sample = 'harebell_agents_not_consuming{agent_type="clinging"}'
    assert metric(port, sample) == 1
    kubectl.apply(manifest("waits", "clinging", "cling"))
    until("the Task to say so", lambda: task(kubectl, "waits").get("reason") == "AgentsNotConsuming", SECONDS)

    lets_go.touch()
    until("the Task to be done", lambda: task(kubectl, "waits").get("phase") == "Succeeded", SECONDS)
    says(kubectl, "clings", "True", "Listening")
    assert metric(port, sample) == 0
    assert reasons(kubectl, "clings") == ["StoppedConsuming"]


def test_an_operator_that_stood_still_takes_nobody_for_gone(start: Processes, kubectl: Kubectl) -> None:
    operator = start.operator()
    start.agent("patient", "patient")
    becomes(kubectl, "patient", "Online")
    operator.popen.send_signal(signal.SIGSTOP)
    time.sleep(AWAY.total_seconds() + 2)
    operator.popen.send_signal(signal.SIGCONT)
    kubectl.apply(manifest("after", "patient"))
    until("work to go on", lambda: task(kubectl, "after").get("phase") == "Succeeded", SECONDS)
    assert "Offline" not in operator.log.read_text()


def test_agents_of_two_types_with_one_id_do_not_take_each_others_work(
    start: Processes, kubectl: Kubectl, tmp_path: Path
) -> None:
    operator = start.operator()
    allow = {"HAREBELL_COMMAND_ALLOW": '[["sh", "-c"]]'}
    first = start.agent("rack-7", "one", **allow)
    becomes(kubectl, "rack-7", "Online")
    argv = ["sh", "-c", f"until test -e {tmp_path}/go; do sleep 0.2; done"]
    kubectl.apply(manifest("rack-long", "one", "command", payload={"argv": argv, "timeoutSeconds": 300}))
    running(kubectl, "rack-long")

    start.agent("rack-7", "other")
    until("the second agent to be refused", lambda: "is refused" in operator.log.read_text(), SECONDS)
    kubectl.apply(manifest("rack-next", "other"))
    until("the other's work to wait", lambda: task(kubectl, "rack-next").get("reason") == "NoAgent", SECONDS)
    (tmp_path / "go").touch()
    until("the work to be done", lambda: task(kubectl, "rack-long").get("phase") == "Succeeded", SECONDS)
    assert task(kubectl, "rack-long")["attempt"] == 1

    first.stop()
    until(
        "the second agent to do its work",
        lambda: task(kubectl, "rack-next").get("phase") == "Succeeded",
        SECONDS,
    )
    until("its resource", lambda: agents(kubectl)["rack-7"]["spec"]["type"] == "other", SECONDS)
    becomes(kubectl, "rack-7", "Online")


def test_agents_outside_the_cluster_come_go_and_are_forgotten(start: Processes, kubectl: Kubectl) -> None:
    kind = "visiting"
    # Long enough for a look at what is offline, on however busy a machine.
    ttl = {"HAREBELL_AGENT_TTL_SECONDS": "10"}
    operator = start.operator(**ttl)
    declared = {
        "apiVersion": "harebell.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": "declared"},
        "spec": {"type": kind},
    }
    kubectl.apply(declared)
    visitor, held = start.agent("visitor", kind), start.agent("held", kind)
    found = becomes(kubectl, "visitor", "Online")
    assert "ownerReferences" not in found["metadata"]
    assert "podName" not in found["status"]
    becomes(kubectl, "held", "Online")
    kubectl("patch", "agent", "held", "--type=merge", "-p", json.dumps({"spec": {"paused": True}}))
    becomes(kubectl, "held", "Paused")

    held.kill()
    visitor.kill()
    becomes(kubectl, "declared", "Offline")
    becomes(kubectl, "held", "Offline")
    gone = condition(becomes(kubectl, "visitor", "Offline"), "Ready")
    assert (gone["status"], gone["reason"]) == ("False", "HeartbeatMissed")

    # Another operator counts on from when it went offline.
    operator.kill()
    start.operator(**ttl)
    last = gone

    def forgotten() -> bool:
        nonlocal last
        left = agents(kubectl)
        if "visitor" in left:
            last = condition(left["visitor"], "Ready")
        return "visitor" not in left

    until("the Agent to be deleted", forgotten, SECONDS)
    assert last["lastTransitionTime"] == gone["lastTransitionTime"]
    # One that somebody declared, and one that is to stay paused, are kept.
    assert {"declared", "held"} <= agents(kubectl).keys()

    start.agent("visitor", kind)
    anew = becomes(kubectl, "visitor", "Online")
    assert anew["metadata"]["uid"] != found["metadata"]["uid"]
    kubectl.apply(manifest("for-the-visitor", kind))
    until("its work", lambda: task(kubectl, "for-the-visitor").get("phase") == "Succeeded", SECONDS)
