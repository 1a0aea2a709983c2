"""harebell cancel, suspend, resume, priority, replay; and what it has for agents."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.kubectl import Kubectl, account_kubeconfig
from tests.support.release import manifest
from tests.support.tasks import statuses
from tests.support.waiting import until

from .conftest import Harebell

CREW = ("--type", "crew")
README = Path(__file__).parents[3] / "cli" / "README.md"


def spec(kubectl: Kubectl, name: str) -> dict[str, Any]:
    found: dict[str, Any] = kubectl.get("task", name)["spec"]
    return found


def test_a_suspended_task_from_why_it_waits_to_its_end(harebell: Harebell, kubectl: Kubectl) -> None:
    assert harebell("run", "tell", *CREW, "--name", "s", "--suspend").out == "s\n"
    until("it to wait", lambda: statuses(kubectl)["s"].get("reason") == "Suspended", 60)
    assert "let it start: harebell resume" in harebell("why", "s").out
    assert harebell("priority", "s", "high").out == "task/s has priority high\n"
    assert spec(kubectl, "s")["priority"] == "high"
    assert harebell("suspend", "s").out == "task/s is suspended already\n"
    assert harebell("resume", "--all").out == "task/s may start\n"
    assert harebell("wait", "s", "--timeout", "60s").status == 0
    finished = harebell("priority", "s", "low")
    assert (finished.status, finished.out) == (1, "")
    assert "has finished: it is Succeeded" in finished.err


def test_cancelling_by_label(harebell: Harebell, kubectl: Kubectl) -> None:
    for name in ("c1", "c2"):
        harebell("run", "tell", *CREW, "--name", name, "-l", "batch=c", "--depends-on", "nothing", "-d")
    harebell("run", "tell", *CREW, "--name", "other", "--depends-on", "nothing", "-d")
    assert len(harebell("cancel", "-l", "batch=c", "--dry-run=server").out.splitlines()) == 2
    assert "cancel" not in spec(kubectl, "c1")
    assert harebell("cancel", "-l", "batch=c").status == 0
    ended = harebell("wait", "-l", "batch=c", "--timeout", "60s")
    assert ended.status == 1
    assert ended.out.splitlines() == ["task/c1 Cancelled", "task/c2 Cancelled"]
    assert "cancel" not in spec(kubectl, "other")
    assert harebell("cancel", "other", "--immediate").status == 0
    assert spec(kubectl, "other")["cancel"] == "Immediate"
    again = harebell("cancel", "-l", "batch=c")
    assert (again.status, again.out) == (0, "")
    assert "there are no tasks" in again.err
    assert harebell("cancel").status == 2
    assert harebell("wait", "-l", "batch=none").status == 2  # a label that is misspelt is no success


def test_replays(harebell: Harebell, kubectl: Kubectl) -> None:
    harebell("run", "fail", *CREW, "--name", "r", "-l", "team=web")
    harebell("run", "tell", *CREW, "--name", "needs", "--depends-on", "r")
    assert harebell("replay", "r", "--dry-run=server").out == "r-r1\n"
    assert "r-r1" not in statuses(kubectl)
    assert harebell("replay", "r").out == "r-r1\n"
    assert harebell("replay", "r").out == "r-r1\n"  # asked twice, made once
    made = kubectl.get("task", "r-r1")
    assert made["spec"]["replayOf"] == {"name": "r", "uid": kubectl.get("task", "r")["metadata"]["uid"]}
    assert made["metadata"]["labels"] == {"team": "web"}
    assert harebell("wait", "r-r1", "--timeout", "60s").status == 1
    assert harebell("replay", "needs").out == "needs-r1\n"
    assert spec(kubectl, "needs-r1")["dependsOn"][0]["name"] == "r-r1"

    kubectl.apply(manifest("r-r2", "crew", "tell"))
    taken = harebell("replay", "r-r1")
    assert (taken.status, taken.out) == (1, "")
    assert "another Task has the name r-r2" in taken.err
    harebell("wait", "r-r2", "--timeout", "60s")
    assert "only a finished Task without success" in harebell("replay", "r-r2").err


def test_agents_are_paused_and_let_work(harebell: Harebell, kubectl: Kubectl) -> None:
    (agent,) = json.loads(harebell("agents", "-o", "json").out)["items"]
    assert agent["spec"]["type"] == "crew"
    assert "managedFields" not in agent["metadata"]
    assert harebell("agents", "--type", "nobody").out == ""

    paused = harebell("pause", "crew-1", "--wait", "--timeout", "60s")
    assert (paused.status, paused.out) == (0, "agent/crew-1 paused\nagent/crew-1 has no Task any more\n")
    harebell("run", "tell", *CREW, "--name", "held-up", "-d")
    until("it to be said", lambda: statuses(kubectl)["held-up"].get("reason") == "AgentsPaused", 60)
    assert "harebell unpause" in harebell("why", "held-up").out
    assert "Paused" in harebell("agents").out
    assert harebell("drain", "--all").status == 0
    assert harebell("unpause", *CREW).out == "agent/crew-1 not paused\n"
    assert harebell("undrain", "-l", "no=body").out == ""
    assert harebell("undrain", "crew-1").status == 0
    assert harebell("wait", "held-up", "--timeout", "60s").status == 0


def test_announcements(harebell: Harebell, kubectl: Kubectl) -> None:
    made = harebell("announce", "notice", "-m", "hello", *CREW, "--wait", "--timeout", "60s")
    assert made.status == 0, made.err
    found = kubectl.get("announcement", made.out.strip())
    assert found["spec"]["agentSelector"]["types"] == ["crew"]
    assert found["status"]["acknowledged"] == 1
    nobody = harebell(
        "announce", "notice", "-m", "hello", "--expires", "1s", "--dry-run=server", "-o", "json"
    )
    assert json.loads(nobody.out)["spec"]["expiresAt"]


def test_versions(harebell: Harebell) -> None:
    shown = harebell("version").out
    assert f"installation in namespace {harebell.namespace}:\n  operator " in shown
    assert "  RabbitMQ 4." in shown
    assert "BrokerReachable: True" in shown
    assert "1 of " in shown


def test_as_a_plugin_of_kubectl(kubectl: Kubectl) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(kubectl.cluster.kubectl), "harebell", "version", "--client"],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("harebell ")


@pytest.fixture(scope="module")
def account(harebell: Harebell, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Harebell:
    """The command with the rights of a ServiceAccount that has none yet."""
    kubectl("create", "serviceaccount", "somebody")
    return Harebell(
        harebell.namespace, account_kubeconfig(kubectl, "somebody", tmp_path_factory.mktemp("account"))
    )


def test_the_rights_that_the_readme_names_are_enough(account: Harebell, kubectl: Kubectl) -> None:
    refused = account("run", "tell", *CREW)
    assert refused.status == 2
    assert "you may not create Tasks" in refused.err
    assert "the right to create tasks.harebell.dev" in refused.err

    role = README.read_text().partition("kind: Role\n")[2].partition("```")[0]
    kubectl("apply", "-f", "-", stdin=f"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n{role}")
    kubectl(
        "create",
        "rolebinding",
        "somebody",
        "--role=harebell-user",
        f"--serviceaccount={kubectl.namespace}:somebody",
    )
    until("the rights to hold", lambda: account("agents").status == 0, 30)
    assert account("run", "tell", *CREW, "--name", "mine", "--timeout", "60s").status == 0
    for command in (
        ["why", "mine"],
        ["result", "mine"],
        ["pause", "crew-1"],
        ["unpause", "crew-1"],
        ["version"],
    ):
        done = account(*command)
        assert (done.status, done.err) == (0, ""), command
    assert account("announce", "notice", "-m", "x", *CREW).status == 0
    assert account("cancel", "--all").status == 0
