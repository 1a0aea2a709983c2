"""Resources that somebody made with kubectl in order to break what shows them."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.api import AUTH, Api
from tests.support.kubectl import Kubectl
from tests.support.openapi import validate_answer
from tests.support.waiting import until
from websockets.asyncio.client import connect

from harebell_crds import API_VERSION

pytestmark = pytest.mark.timeout(240, func_only=True)  # bringing up a cluster takes longer

LONGEST_NAME = ".".join(["a" * 63] * 3) + "." + "b" * 61
STRANGE = "\u202e\u200b\ufeff\U0001f4a5\u0001\u007f\"\\</script>\r\n\t\u2028{{7*7}}%00' OR 1=1 --"
TYPE = "t" * 63


def resource(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def task(name: str, **spec: Any) -> dict[str, Any]:
    return resource("Task", name, {"agentType": TYPE, "action": "a", **spec})


def create(kubectl: Kubectl, made: dict[str, Any]) -> None:
    # Not applied: that would keep the whole manifest in an annotation, too.
    kubectl("create", "-f", "-", stdin=json.dumps(made))


def set_status(kubectl: Kubectl, folder: Path, kind: str, name: str, text: str) -> None:
    file = folder / "status.json"
    file.write_text(f'{{"status":{text}}}')
    kubectl("patch", kind, name, "--subresource=status", "--type=merge", f"--patch-file={file}")


@pytest.fixture(scope="module")
def hostile(api: Api, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Api:
    """An API whose namespace holds the worst that Kubernetes takes."""
    folder = tmp_path_factory.mktemp("hostile")
    labels = {f"{'d' * 60}.example.org/{'k' * 58}{n:03d}": "v" * 63 for n in range(200)}
    create(kubectl, resource("Task", LONGEST_NAME, {"agentType": TYPE, "action": "a"}, labels=labels))
    annotations = {"note": STRANGE, "large": "\u20ac" * 80_000}
    create(kubectl, resource("Task", "annotated", task("")["spec"], annotations=annotations))
    create(kubectl, task("empty", payload={}))
    create(kubectl, task("strange", payload={STRANGE: STRANGE}, idempotencyKey=STRANGE[:200]))
    create(kubectl, task("numbers", payload={"big": 10**300, "small": 1e-300, "long": [0] * 60_000}))
    create(kubectl, task("undefined", dependsOn=[{"name": f"none-{n}"} for n in range(50)]))
    for name, levels in (("deep", 300), ("deeper", 5000)):
        deep = '{"a":' * levels + "1" + "}" * levels
        create(kubectl, task(name))
        text = f'{{"phase":"Running","attempt":1,"result":{deep}}}'
        set_status(kubectl, folder, "task", name, text)
    words = {
        "phase": "Failed",
        "reason": STRANGE,
        "attempt": 2,
        "error": {"code": "c" * 128, "message": (STRANGE * 200)[:8000]},
        "result": {STRANGE: [STRANGE, None, True, 1e300]},
        "progress": {"percent": 0, "message": STRANGE},
        "checkpoint": {"attempt": 1, "savedAt": "2026-01-01T00:00:00.000000Z", "data": {"x": "y" * 30_000}},
    }
    create(kubectl, task("words"))
    set_status(kubectl, folder, "task", "words", json.dumps(words))
    create(kubectl, resource("Agent", LONGEST_NAME, {"type": TYPE}, labels=labels))
    agent = {
        "phase": "Online",
        "reason": STRANGE,
        "version": STRANGE,
        "capabilities": {"actions": [STRANGE] * 500},
    }
    set_status(kubectl, folder, "agent", LONGEST_NAME, json.dumps(agent))
    selector = {"names": [STRANGE] * 100, "matchLabels": {STRANGE: "v" * 63}}
    spec = {"kind": "Notice", "message": (STRANGE * 300)[:4096], "agentSelector": selector}
    create(kubectl, resource("Announcement", LONGEST_NAME, spec))
    status = {"phase": "Active", "pending": [STRANGE] * 200, "targeted": 2**31 - 1}
    set_status(kubectl, folder, "announcement", LONGEST_NAME, json.dumps(status))

    def complete() -> bool:
        tasks = {t["name"]: t for t in api.http.get("/api/v1/tasks?limit=500").json()["items"]}
        agents = api.http.get("/api/v1/agents").json()["items"]
        shown = api.http.get("/api/v1/announcements").json()["items"]
        written = tasks["words"]["phase"] == "Failed" and tasks["deeper"]["phase"] == "Running"
        return bool(written and agents[0]["status"] == "Online" and shown[0]["phase"] == "Active")

    until("everything to be shown", complete)
    return api


def read(api: Api, path: str, template: str) -> Any:
    answer = api.http.get(path)
    assert answer.status_code == 200, (path, answer.text[:500])
    document = answer.json()
    validate_answer("GET", template, 200, document)
    return document


def test_everything_is_shown_as_described(hostile: Api, kubectl: Kubectl) -> None:
    tasks = read(hostile, "/api/v1/tasks?limit=500", "/api/v1/tasks")["items"]
    # Only names: kubectl's own JSON is more than Python reads.
    there = kubectl("get", "tasks", "-o", "name").split()
    assert {t["name"] for t in tasks} == {name.partition("/")[2] for name in there}
    assert len(tasks) == 9
    for shown in tasks:
        one = read(hostile, f"/api/v1/status/{shown['name']}", "/api/v1/status/{task_id}")
        assert {**shown, "queue": None} == one
    (agent,) = read(hostile, "/api/v1/agents", "/api/v1/agents")["items"]
    assert agent == read(hostile, f"/api/v1/agents/{LONGEST_NAME}", "/api/v1/agents/{name}")
    assert agent["actions"] == [STRANGE] * 500
    (told,) = read(hostile, "/api/v1/announcements", "/api/v1/announcements")["items"]
    assert told == read(hostile, f"/api/v1/announcements/{LONGEST_NAME}", "/api/v1/announcements/{name}")
    assert told["pending"] == [STRANGE] * 200
    read(hostile, "/api/v1/queues", "/api/v1/queues")


def test_nothing_is_lost_but_what_is_too_deep(hostile: Api) -> None:
    words = read(hostile, "/api/v1/status/words", "/api/v1/status/{task_id}")
    assert words["reason"] == STRANGE
    assert words["result"] == {STRANGE: [STRANGE, None, True, 1e300]}
    assert words["checkpoint"]["bytes"] == len(json.dumps({"x": "y" * 30_000}, separators=(",", ":")))
    assert "y" * 100 not in json.dumps(words)
    longest = read(hostile, f"/api/v1/status/{LONGEST_NAME}", "/api/v1/status/{task_id}")
    assert len(longest["labels"]) == 200
    for name in ("deep", "deeper"):
        found = read(hostile, f"/api/v1/status/{name}", "/api/v1/status/{task_id}")["result"]
        levels = 0
        while isinstance(found, dict):
            found, levels = found["a"], levels + 1
        assert (found, levels > 150) == (None, True)


async def test_a_stream_shows_them_too(hostile: Api) -> None:
    for name in (LONGEST_NAME, "words", "deeper"):
        async with connect(f"{hostile.ws}/{name}", additional_headers=AUTH, proxy=None) as socket:
            assert json.loads(await socket.recv())["task"]["name"] == name


def test_they_can_be_dealt_with(hostile: Api, kubectl: Kubectl) -> None:
    http = hostile.http
    for name in (LONGEST_NAME, "annotated", "strange", "deeper"):
        assert http.post(f"/api/v1/suspend/{name}").json()["suspend"] is True
        assert http.post(f"/api/v1/cancel/{name}").json()["cancel"] == "Graceful"
    assert http.post("/api/v1/replay/words").status_code == 202
    assert http.post(f"/api/v1/agents/{LONGEST_NAME}/drain").json()["drain"] is True
    assert http.delete(f"/api/v1/announcements/{LONGEST_NAME}").status_code == 204
    assert kubectl("get", "task", "deeper", "-o", "jsonpath={.spec.cancel}") == "Graceful"
    assert http.get("/readyz").status_code == 200
