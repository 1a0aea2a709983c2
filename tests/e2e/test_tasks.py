"""Tasks applied with kubectl, done by real agent Pods."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.kubectl import CommandFailed, Kubectl
from tests.support.release import Release, manifest
from tests.support.waiting import until

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_the_first_task_of_the_readme(release: Release, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", str(EXAMPLES / "task-text-stats.yaml"))
    kubectl("wait", "--for=condition=Complete", "task/count-words", "--timeout=30s")
    status = release.task("count-words")["status"]
    assert status["phase"] == "Succeeded"
    assert status["attempt"] == 1
    assert status["result"]["words"] == 9
    assert status["result"]["mostFrequentWords"][0] == {"word": "the", "count": 2}


def test_a_probe_of_the_cluster_itself(release: Release, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", str(EXAMPLES / "task-http-probe.yaml"))
    status = release.finished("probe-cluster")
    assert status["phase"] == "Succeeded"
    metrics = status["result"][0]
    assert metrics["status"] == 200
    assert metrics["bytes"] > 0
    assert len(metrics["bodySha256"]) == 64


def test_all_priorities_of_both_types(release: Release, kubectl: Kubectl) -> None:
    tasks = [
        manifest(f"p-{kind}-{priority}", kind, "echo", priority=priority, payload={"p": priority})
        for kind in ("text", "infra")
        for priority in ("critical", "high", "normal", "low", "background")
    ]
    kubectl.apply(*tasks)
    for task in tasks:
        status = release.finished(task["metadata"]["name"])
        assert status["phase"] == "Succeeded"
        assert status["result"] == {"p": task["spec"]["priority"]}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"priority": "urgent"}, "spec.priority"),
        ({"agentType": None}, "spec.agentType"),
        ({"agentType": "Not A Label"}, "spec.agentType"),
        ({"action": ""}, "spec.action"),
        ({"payload": {"text": "x" * 300 * 1024}}, "spec.payload"),
        ({"retryPolicy": {"maxRetries": -1}}, "spec.retryPolicy.maxRetries"),
        ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds"),
        ({"cancel": "Now"}, "spec.cancel"),
        ({"pirority": "low"}, "spec.pirority"),
    ],
)
def test_bad_manifests_are_refused_by_name(kubectl: Kubectl, change: dict[str, Any], named: str) -> None:
    task = manifest("bad")
    task["spec"] |= change
    task["spec"] = {k: v for k, v in task["spec"].items() if v is not None}
    with pytest.raises(CommandFailed, match=named.replace(".", r"\.")):
        kubectl("create", "-f", "-", stdin=json.dumps(task))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agentType", "infra"),
        ("action", "sleep"),
        ("payload", {"n": 2}),
        ("priority", "low"),
        ("retryPolicy", {"maxRetries": 9}),
    ],
)
def test_what_was_asked_for_cannot_be_changed(kubectl: Kubectl, field: str, value: Any) -> None:
    kubectl.apply(manifest("fixed", payload={"n": 1}))
    with pytest.raises(CommandFailed, match=rf"spec\.{field}.*immutable"):
        kubectl("patch", "task", "fixed", "--type=merge", "-p", json.dumps({"spec": {field: value}}))


def test_an_action_nobody_offers_fails_with_the_list(release: Release, kubectl: Kubectl) -> None:
    kubectl.apply(manifest("unknown-action", action="no.such.thing"))
    status = release.finished("unknown-action")
    assert (status["phase"], status["error"]["code"]) == ("Failed", "UnknownAction")
    assert "text.stats" in status["error"]["message"]


def test_a_task_without_agents_says_why_it_waits(release: Release, kubectl: Kubectl) -> None:
    kubectl.apply(manifest("nobody", agent_type="astronomer"))
    until("the reason", lambda: release.task("nobody").get("status", {}).get("reason") == "NoAgent")
    started = [c for c in release.task("nobody")["status"]["conditions"] if c["type"] == "Started"]
    assert started[0]["status"] == "False"
    assert "astronomer" in started[0]["message"]
    kubectl("delete", "task", "nobody")


def test_cancel_while_running(release: Release, kubectl: Kubectl) -> None:
    kubectl.apply(manifest("stop-me", action="sleep", payload={"seconds": 300}))
    until("the Task to run", lambda: release.phase("stop-me") == "Running")
    kubectl("patch", "task", "stop-me", "--type=merge", "-p", '{"spec":{"cancel":"Graceful"}}')
    status = release.finished("stop-me", 20)
    assert status["phase"] == "Cancelled"
    agent = status["agentName"]
    until("the agent to be idle", lambda: kubectl.get("agent", agent)["status"]["phase"] == "Online")


def test_a_command_on_the_allow_list(release: Release, kubectl: Kubectl) -> None:
    kubectl.apply(manifest("allowed", "infra", "command", payload={"argv": ["uname", "-s"]}))
    status = release.finished("allowed")
    assert status["phase"] == "Succeeded"
    assert (status["result"]["exitCode"], status["result"]["stdout"]) == (0, "Linux\n")


def test_a_command_that_is_not(release: Release, kubectl: Kubectl) -> None:
    kubectl.apply(manifest("forbidden", "infra", "command", payload={"argv": ["rm", "-rf", "/"]}))
    status = release.finished("forbidden")
    assert (status["phase"], status["attempt"]) == ("Failed", 1)
    assert "rm" in status["error"]["message"]


def test_retries_then_dead_letter(release: Release, kubectl: Kubectl) -> None:
    policy = {"maxRetries": 2, "backoff": {"initialSeconds": 1, "factor": 1}}
    payload = {"argv": ["uname", "--no-such-option"]}
    kubectl.apply(manifest("hopeless", "infra", "command", payload=payload, retryPolicy=policy))
    status = release.finished("hopeless")
    assert (status["phase"], status["attempt"], status["failures"]) == ("DeadLettered", 3, 3)
    assert {a["error"]["code"] for a in status["attempts"]} == {"CommandFailed"}
    failed = [c for c in status["conditions"] if c["type"] == "Failed"]
    assert (failed[0]["status"], failed[0]["reason"]) == ("True", "RetriesExhausted")

    again = release.rest("POST", "/api/v1/replay/hopeless")
    assert (again.status, again.body["taskId"]) == (202, "hopeless-r1")
    assert again.body["replayOf"]["name"] == "hopeless"
    assert release.finished("hopeless-r1")["phase"] == "DeadLettered"


def test_hostile_nesting_fails_its_task_and_nothing_else(release: Release, kubectl: Kubectl) -> None:
    # Kubernetes takes no more than 10,000 levels.
    deep = '{"p":' * 9900 + "1" + "}" * 9900
    text = json.dumps(manifest("deep", payload={"marker": 1})).replace('{"marker": 1}', deep)
    kubectl("create", "-f", "-", stdin=text)

    def ended() -> dict[str, Any] | None:
        # The status alone: this side's JSON reader gives up at the payload.
        found: dict[str, Any] = json.loads(kubectl("get", "task", "deep", "-o", "jsonpath={.status}") or "{}")
        return found if found.get("completedAt") else None

    status = until("the Task to fail", ended)
    assert (status["phase"], status["error"]["code"]) == ("Failed", "InvalidPayload")
    assert "nested" in status["error"]["message"]
    operator = kubectl.get("pod", release.pods("operator")[0])
    assert [c["restartCount"] for c in operator["status"]["containerStatuses"]] == [0, 0]
    kubectl.apply(manifest("after-deep"))
    assert release.finished("after-deep")["phase"] == "Succeeded"
    answer = release.rest("GET", "/api/v1/status/deep")
    assert (answer.status, answer.body["phase"]) == (200, "Failed")
    kubectl("delete", "task", "deep")
