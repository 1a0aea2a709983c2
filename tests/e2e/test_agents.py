"""Agents as kubectl shows them, and what happens to work when they go."""

import subprocess
from typing import Any

from tests.support.kubectl import Kubectl
from tests.support.release import Release, manifest
from tests.support.waiting import until


def _agent(kubectl: Kubectl, name: str) -> dict[str, Any]:
    return kubectl.get("agent", name)


def test_the_table_people_read(release: Release, kubectl: Kubectl) -> None:
    header, *rows = kubectl("get", "agents").splitlines()
    assert header.split() == ["NAME", "TYPE", "STATUS", "TASK", "CPU", "GPU-MEM", "LAST-HEARTBEAT", "AGE"]
    assert sorted(row.split()[1] for row in rows if "Online" in row or "Busy" in row) == [
        "infra", "infra", "text", "text",
    ]  # fmt: skip
    kubectl.apply(manifest("row"))
    header = kubectl("get", "tasks", "-o", "wide").splitlines()[0]
    assert header.split() == ["NAME", "TYPE", "PRIORITY", "PHASE", "AGENT", "ATTEMPT", "REASON", "AGE"]


def test_an_agent_reports_what_it_is_and_has(release: Release, kubectl: Kubectl) -> None:
    name = release.pods("agent-text")[0]
    status = _agent(kubectl, name)["status"]
    assert status["podName"] == name
    assert status["nodeName"]
    assert "echo" in status["capabilities"]["actions"]
    assert status["resources"]["cpu"]["cores"] >= 1
    assert status["resources"]["gpus"] == []


def test_heartbeats_advance(release: Release, kubectl: Kubectl) -> None:
    name = release.pods("agent-text")[0]
    before = _agent(kubectl, name)["status"]["lastHeartbeatTime"]
    until("a later heartbeat", lambda: _agent(kubectl, name)["status"]["lastHeartbeatTime"] > before, 15)


def test_a_killed_agent_shows_offline_in_time(release: Release, kubectl: Kubectl) -> None:
    pod = release.pods("agent-text")[0]
    # A second agent beside the Pod's own, known to no Pod, so that nothing but its silence betrays its end.
    script = (
        "env -u POD_NAME -u POD_UID -u POD_NAMESPACE HAREBELL_PORT=0"
        " python -m harebell_agent --id mayfly & echo $! > /tmp/mayfly; wait"
    )
    command = [str(kubectl.cluster.kubectl), "-n", kubectl.namespace, "exec", pod, "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        until("the agent", lambda: kubectl("get", "agent", "mayfly", "--ignore-not-found") and True, 20)
        until("it to be online", lambda: _agent(kubectl, "mayfly")["status"].get("phase") == "Online")
        kubectl("exec", pod, "--", "sh", "-c", "kill -9 $(cat /tmp/mayfly)")
        running.wait(timeout=20)
    status = until(
        "it to be offline",
        lambda: s if (s := _agent(kubectl, "mayfly")["status"])["phase"] == "Offline" else None,
        20,
    )
    assert status["reason"] == "HeartbeatMissed"
    kubectl("delete", "agent", "mayfly")


def test_nothing_stays_of_a_process_that_was_left_behind(release: Release, kubectl: Kubectl) -> None:
    pod = release.pods("agent-text")[0]
    # Its parent ends first, so it is the container's first process that has to take note of its end.
    kubectl("exec", pod, "--", "sh", "-c", "(sleep 0.1 &)")
    processes = ("exec", pod, "--", "sh", "-c", "cat /proc/[0-9]*/comm")
    until("it to be gone", lambda: "sleep" not in kubectl(*processes).split(), 15)


def _interrupted(release: Release, kubectl: Kubectl, name: str, *how: str) -> dict[str, Any]:
    """Delete the Pod of the agent that works on a Task, and return the finished Task's status."""
    kubectl.apply(manifest(name, action="sleep", payload={"seconds": 12}))
    first = until("the Task to run", lambda: release.task(name).get("status", {}).get("agentName"))
    kubectl("delete", "pod", first, *how)
    status = release.finished(name, 90)
    assert status["phase"] == "Succeeded"
    assert status["attempt"] == 2
    assert status["agentName"] != first
    assert [a["agentName"] for a in status["attempts"]] == [first, status["agentName"]]
    until("the Agent to go with its Pod", lambda: not kubectl("get", "agent", first, "--ignore-not-found"))
    return status


def test_work_of_a_deleted_pod_is_done_by_another_agent(release: Release, kubectl: Kubectl) -> None:
    status = _interrupted(release, kubectl, "handed-back", "--wait=false")
    assert status["attempts"][0]["outcome"] == "Interrupted"
    assert status["failures"] == 0


def test_work_of_a_killed_pod_is_done_by_another_agent(release: Release, kubectl: Kubectl) -> None:
    status = _interrupted(release, kubectl, "torn-away", "--grace-period=0", "--force")
    assert status["attempts"][0]["outcome"] in ("Lost", "Interrupted")
