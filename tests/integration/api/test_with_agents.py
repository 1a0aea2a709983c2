"""What is said through REST reaches agents: the real API server and broker, an operator and agents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.api import Api
from tests.support.processes import Processes, processes
from tests.support.servers import Vhost
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300, func_only=True)  # bringing up a cluster takes longer


@pytest.fixture
def start(tmp_path: Path, vhost: Vhost, namespace: str, kubeconfig: Path) -> Iterator[Processes]:
    """Starts an operator and agents, which end with the test."""
    with processes(tmp_path, vhost.operator_url, vhost.agent_url, namespace, kubeconfig) as starter:
        yield starter


def dispatch(api: Api, name: str, kind: str, action: str = "echo", **more: Any) -> None:
    body = {"agentType": kind, "action": action, "name": name, **more}
    assert api.http.post("/api/v1/dispatch", json=body).status_code == 202


def task(api: Api, name: str) -> dict[str, Any]:
    found: dict[str, Any] = api.http.get(f"/api/v1/status/{name}").json()
    return found


def in_phase(api: Api, name: str, phase: str) -> None:
    until(f"{name} to be {phase}", lambda: task(api, name)["phase"] == phase, 90)


def agent_in(api: Api, name: str, status: str) -> None:
    until(
        f"{name} to be {status}",
        lambda: api.http.get(f"/api/v1/agents/{name}").json().get("status") == status,
        90,
    )


def test_a_suspended_task_leaves_the_queue_and_comes_back(chart_api: Api, start: Processes) -> None:
    start.operator()
    dispatch(chart_api, "put-off", "suspends")
    in_phase(chart_api, "put-off", "Queued")
    assert chart_api.http.post("/api/v1/suspend/put-off").status_code == 202
    until("it to be withdrawn", lambda: task(chart_api, "put-off")["reason"] == "Suspended", 60)
    start.agent("suspends-1", "suspends")
    dispatch(chart_api, "not-put-off", "suspends")
    in_phase(chart_api, "not-put-off", "Succeeded")
    assert task(chart_api, "put-off")["phase"] == "Pending"
    assert chart_api.http.post("/api/v1/resume/put-off").status_code == 202
    in_phase(chart_api, "put-off", "Succeeded")
    shown = task(chart_api, "put-off")
    assert (shown["suspend"], shown["attempt"]) == (False, 1)
    assert shown["resumedAt"] > shown["createdAt"]


def test_a_running_task_that_can_go_on_later_is_handed_back(chart_api: Api, start: Processes) -> None:
    start.operator()
    start.agent("hands-1", "hands")
    dispatch(chart_api, "long", "hands", "sleep", payload={"seconds": 12}, onInterruption="Resume")
    in_phase(chart_api, "long", "Running")
    until("a checkpoint", lambda: task(chart_api, "long")["checkpoint"], 60)
    assert task(chart_api, "long")["interruptionLeadsTo"] == "Resume"
    chart_api.http.post("/api/v1/suspend/long")
    until("it to be handed back", lambda: task(chart_api, "long")["reason"] == "Suspended", 60)
    saved = task(chart_api, "long")["checkpoint"]
    assert (saved["attempt"], saved["bytes"] > 0) == (1, True)
    chart_api.http.post("/api/v1/resume/long")
    in_phase(chart_api, "long", "Succeeded")
    assert [a["outcome"] for a in task(chart_api, "long")["attempts"]] == ["Interrupted", "Succeeded"]


def test_orders_and_announcements_reach_agents(chart_api: Api, start: Processes) -> None:
    http = chart_api.http
    start.operator()
    for number in (1, 2):
        start.agent(f"told-{number}", "told")
        agent_in(chart_api, f"told-{number}", "Online")
    http.post("/api/v1/agents/told-1/pause")
    agent_in(chart_api, "told-1", "Paused")
    http.post("/api/v1/agents/told-2/drain")
    agent_in(chart_api, "told-2", "Draining")
    dispatch(chart_api, "waits", "told")
    in_phase(chart_api, "waits", "Queued")
    http.post("/api/v1/agents/told-1/resume")
    in_phase(chart_api, "waits", "Succeeded")
    assert task(chart_api, "waits")["agentName"] == "told-1"
    http.post("/api/v1/agents/told-2/undrain")
    agent_in(chart_api, "told-2", "Online")

    body = {"kind": "Pause", "name": "halt", "agentSelector": {"types": ["told"]}}
    assert http.post("/api/v1/announcements", json=body).status_code == 201

    def acknowledged() -> bool:
        shown = http.get("/api/v1/announcements/halt").json()
        names = [a["agent"] for a in shown["acknowledgements"]]
        return (names, shown["pending"], shown["targeted"]) == (["told-1", "told-2"], [], 2)

    until("both to acknowledge it", acknowledged)
    dispatch(chart_api, "waits-too", "told")
    in_phase(chart_api, "waits-too", "Queued")
    assert http.delete("/api/v1/announcements/halt").status_code == 204
    in_phase(chart_api, "waits-too", "Succeeded")
