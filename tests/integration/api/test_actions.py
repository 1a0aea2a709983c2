"""Suspending, batches, orders to agents and announcements, against the real API server and with the chart's
rights. The test plays the operator."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from tests.support.api import Api
from tests.support.kubectl import Kubectl
from tests.support.release import manifest
from tests.support.waiting import until

from harebell_crds import API_VERSION

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer

BASE: dict[str, Any] = {"agentType": "text", "action": "echo"}
ANNOUNCEMENTS = "/api/v1/announcements"


def set_status(kubectl: Kubectl, kind: str, name: str, **status: Any) -> None:
    patch = json.dumps({"status": status})
    kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


def kind_of(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def test_suspend_and_resume(chart_api: Api, kubectl: Kubectl) -> None:
    http = chart_api.http
    made = http.post("/api/v1/dispatch", json={**BASE, "name": "held"}, headers={"Idempotency-Key": "held"})
    versions = set()
    for path, wanted in [("suspend", True), ("suspend", True), ("resume", False), ("resume", False)]:
        answer = http.post(f"/api/v1/{path}/held")
        assert (answer.status_code, answer.json()["suspend"]) == (202, wanted)
        assert kubectl.get("task", "held")["spec"]["suspend"] is wanted
        versions.add(answer.json()["resourceVersion"])
    assert len(versions) == 2  # what was so already is not written again
    again = http.post("/api/v1/dispatch", json={**BASE, "name": "held"}, headers={"Idempotency-Key": "held"})
    assert (again.status_code, again.json()["uid"]) == (202, made.json()["uid"])
    set_status(kubectl, "task", "held", phase="Failed")
    assert kind_of(http.post("/api/v1/suspend/held")) == (409, "task-finished")
    assert kind_of(http.post("/api/v1/resume/unknown")) == (404, "not-found")


def test_a_change_of_what_was_seen_and_of_nothing_else(chart_api: Api, kubectl: Kubectl) -> None:
    http = chart_api.http
    http.post("/api/v1/dispatch", json={**BASE, "name": "seen"})
    seen = http.get("/api/v1/status/seen").headers["etag"]
    set_status(kubectl, "task", "seen", phase="Queued")
    for method, path, body in [
        ("POST", "/api/v1/suspend/seen", None),
        ("PATCH", "/api/v1/tasks/seen", {"priority": "low"}),
        ("POST", "/api/v1/cancel/seen", None),
    ]:
        answer = http.request(method, path, json=body, headers={"If-Match": seen})
        assert kind_of(answer) == (412, "precondition-failed")
    spec = kubectl.get("task", "seen")["spec"]
    assert (spec["priority"], "cancel" in spec, spec.get("suspend", False)) == ("normal", False, False)

    def newer() -> str | None:
        answer = http.get("/api/v1/status/seen", headers={"If-None-Match": seen})
        return answer.headers["etag"] if answer.status_code == 200 else None

    tag = until("the watch to bring the change", newer)
    assert http.get("/api/v1/status/seen", headers={"If-None-Match": tag}).status_code == 304
    # Of many who saw the same, one changes it.
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda n: http.patch(
                "/api/v1/tasks/seen",
                json={"priority": ["low", "high"][n % 2]},
                headers={"If-Match": tag},
            ),
            range(8),
        )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


def test_a_batch(chart_api: Api, kubectl: Kubectl) -> None:
    entries: list[dict[str, Any]] = [
        {**BASE, "name": f"batch-{n}", "idempotencyKey": f"batch-{n}"} for n in range(100)
    ]
    entries[17] = {**BASE, "labels": {"team": "not a label value"}}  # known to Kubernetes alone
    entries[18] = {**BASE, "acton": "echo"}
    answer = chart_api.http.post("/api/v1/dispatch/batch", json={"tasks": entries})
    found = answer.json()
    assert (answer.status_code, found["accepted"], found["refused"]) == (200, 98, 2)
    for n, item in enumerate(found["items"]):
        if n in (17, 18):
            assert item["status"] == 422
            pointers = [error["pointer"] for error in item["problem"]["errors"]]
            assert pointers == [f"/tasks/{n}/{'labels' if n == 17 else 'acton'}"]
        else:
            assert (item["status"], item["task"]["name"], item["replayed"]) == (202, f"batch-{n}", False)
    again = chart_api.http.post("/api/v1/dispatch/batch", json={"tasks": entries}).json()
    assert sum(item["replayed"] for item in again["items"]) == 98
    assert [(i["task"] or {}).get("uid") for i in again["items"]] == [
        (i["task"] or {}).get("uid") for i in found["items"]
    ]
    names = [task["metadata"]["name"] for task in kubectl.items("tasks")]
    assert sum(name.startswith("batch-") for name in names) == 98


def test_orders_to_agents(chart_api: Api, kubectl: Kubectl) -> None:
    agent = {"metadata": {"name": "told"}, "spec": {"type": "text"}}
    kubectl.apply({"apiVersion": API_VERSION, "kind": "Agent", **agent})
    http = chart_api.http
    for verb, member, wanted in [
        ("pause", "paused", True),
        ("pause", "paused", True),
        ("drain", "drain", True),
        ("resume", "paused", False),
        ("undrain", "drain", False),
    ]:
        answer = http.post(f"/api/v1/agents/told/{verb}")
        assert (answer.status_code, answer.json()[member]) == (202, wanted)
        assert kubectl.get("agent", "told")["spec"][member] is wanted
        assert http.get("/api/v1/agents/told").json()[member] is wanted
    assert kind_of(http.post("/api/v1/agents/unknown/pause")) == (404, "not-found")


def test_announcements(chart_api: Api, kubectl: Kubectl) -> None:
    http = chart_api.http
    asked = {"kind": "Pause", "agentSelector": {"types": ["text"]}, "message": "upgrade", "name": "halt"}
    made = http.post(ANNOUNCEMENTS, json=asked)
    assert (made.status_code, made.headers["location"]) == (201, f"{ANNOUNCEMENTS}/halt")
    stored = kubectl.get("announcement", "halt")
    assert stored["spec"]["agentSelector"]["types"] == ["text"]
    assert (stored["spec"]["kind"], stored["spec"]["message"]) == ("Pause", "upgrade")
    assert kind_of(http.post(ANNOUNCEMENTS, json=asked)) == (409, "already-exists")
    known = {
        "phase": "Active",
        "targeted": 2,
        "acknowledged": 1,
        "acknowledgements": [{"agent": "a", "at": "2026-01-01T00:00:00.000001Z"}],
        "pending": ["b"],
    }
    set_status(kubectl, "announcement", "halt", **known)
    until(
        "the watch to bring it",
        lambda: {k: http.get(f"{ANNOUNCEMENTS}/halt").json()[k] for k in known} == known,
    )
    assert [a["name"] for a in http.get(f"{ANNOUNCEMENTS}?phase=active").json()["items"]] == ["halt"]
    assert http.delete(f"{ANNOUNCEMENTS}/halt").status_code == 204
    assert kubectl.items("announcements") == []
    until("it to be gone", lambda: http.get(f"{ANNOUNCEMENTS}/halt").status_code == 404)


def test_the_answer_says_how_fresh_it_is(chart_api: Api, kubectl: Kubectl) -> None:
    kubectl.apply(manifest("fresh", "nobody", "echo"))
    version = int(kubectl.get("task", "fresh")["metadata"]["resourceVersion"])

    def passed() -> bool:
        return int(chart_api.http.get("/api/v1/tasks").headers["harebell-resource-version"]) >= version

    until("the cache to have come so far", passed)
    answer = chart_api.http.get("/api/v1/tasks?limit=500")
    assert "fresh" in [task["name"] for task in answer.json()["items"]]
    assert 0 <= int(answer.headers["age"]) < 120
