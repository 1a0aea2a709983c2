"""Where Tasks stand in the queue, against the real API server. The test plays the operator."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.api import Api
from tests.support.kubectl import Kubectl
from tests.support.release import manifest
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer

KIND = "seen"


def moment(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def set_status(kubectl: Kubectl, kind: str, name: str, **status: Any) -> None:
    patch = json.dumps({"status": status})
    kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


def place(api: Api, name: str) -> dict[str, Any] | None:
    answer = api.http.get(f"/api/v1/status/{name}")
    assert answer.status_code == 200
    found: dict[str, Any] | None = answer.json()["queue"]
    return found


def test_a_queued_task_knows_its_place_and_about_how_long(api: Api, kubectl: Kubectl) -> None:
    agent = {
        "apiVersion": "harebell.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": "seen-1"},
        "spec": {"type": KIND},
    }
    kubectl.apply(
        agent,
        *(manifest(name, KIND) for name in ("done", "runs", "first", "second")),
        manifest("urgent", KIND, priority="critical"),
    )
    current = [{"namespace": kubectl.namespace, "name": "runs", "uid": "any", "attempt": 1}]
    busy = {"phase": "Busy", "reason": "HeartbeatReceived", "capacity": 1, "currentTasks": current}
    set_status(kubectl, "agent", "seen-1", **busy)
    set_status(kubectl, "task", "done", phase="Succeeded", startedAt=moment(-700), completedAt=moment(-100))
    set_status(kubectl, "task", "runs", phase="Running", agentName="seen-1", startedAt=moment(0))
    set_status(kubectl, "task", "first", phase="Queued", queuedAt=moment(-30))
    set_status(kubectl, "task", "second", phase="Queued", queuedAt=moment(-20))

    until("two to be in the queue", lambda: (place(api, "second") or {}).get("position") == 2)
    first, second = place(api, "first"), place(api, "second")
    assert first
    assert second
    assert (first["position"], first["ahead"]) == (1, 0)
    assert 300 < first["estimatedStartSeconds"] <= 600
    assert 900 < second["estimatedStartSeconds"] <= 1200
    assert place(api, "runs") is None

    set_status(kubectl, "task", "urgent", phase="Queued", queuedAt=moment(0))
    until("the urgent one to come first", lambda: (place(api, "first") or {}).get("position") == 2)
    (queue,) = (q for q in api.http.get("/api/v1/queues").json()["items"] if q["agentType"] == KIND)
    assert queue["waiting"] == {"critical": 1, "high": 0, "normal": 2, "low": 0, "background": 0}
    assert queue["running"] == 1
    assert queue["oldestWaitingSeconds"] >= 30
    assert queue["agents"] == {"online": 1, "idle": 0, "paused": 0, "notConsuming": 0}

    kubectl("delete", "task", "urgent", "first")
    until("the last one to come first", lambda: (place(api, "second") or {}).get("position") == 1)
    # Nobody can say how long it takes while nobody takes work.
    set_status(kubectl, "agent", "seen-1", phase="Offline", reason="HeartbeatMissed")

    def unknown() -> bool:
        found = place(api, "second")
        return found is not None and found["estimatedStartSeconds"] is None

    until("the estimate to be gone", unknown)
