"""Tasks restored from a backup into a cluster that has lost them, by the commands of the runbook."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.chart import REPOSITORY
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes
from tests.support.release import manifest
from tests.support.servers import Servers, Vhost
from tests.support.tasks import statuses
from tests.support.waiting import until

from .conftest import diarist
from .observing import finished, running

KEPT = ("name", "labels", "annotations")
"""Of the metadata, by the filter of the runbook; the rest belongs to the objects that are gone."""


def test_the_runbook_keeps_the_same() -> None:
    text = (REPOSITORY / "docs/runbook.md").read_text()
    kept = re.findall(r"\.metadata \|= \{([^}]*)\}", text)
    assert kept
    assert {tuple(name.strip() for name in each.split(",")) for each in kept} == {KEPT}


@pytest.fixture
def new_broker(servers: Servers, namespace: str) -> Iterator[Vhost]:
    """One without a message of the old one's."""
    name = f"{namespace}-new"
    yield servers.vhost(name)
    servers.drop(name)


@pytest.mark.timeout(240, func_only=True)
def test_what_was_finished_stays_so_and_the_rest_is_done(
    start: Processes, kubectl: Kubectl, new_broker: Vhost, tmp_path: Path
) -> None:
    diary, told = tmp_path / "diary", tmp_path / "told"
    operator = start.operator()
    agent = diarist(start, "restored", diary)
    kubectl.apply(manifest("over", "restored", "note"))
    done = finished(kubectl, "over")
    kubectl.apply(
        manifest("under-way", "restored", "until", payload={"told": str(told)}, onInterruption="Requeue"),
        manifest("waiting", "restored", "note"),
        manifest("after", "restored", "note", dependsOn=[{"name": "waiting"}]),
        manifest("held", "restored", "note", suspend=True),
    )
    running(kubectl, "under-way")
    until("one to wait", lambda: statuses(kubectl)["waiting"].get("phase") == "Queued")

    saved = kubectl.items("tasks")
    operator.stop()
    agent.kill()
    kubectl("delete", "tasks", "--all")
    for task in saved:
        task["metadata"] = {key: task["metadata"][key] for key in KEPT if key in task["metadata"]}
    backup = json.dumps({"apiVersion": "v1", "kind": "List", "items": saved})
    kubectl("create", "-f", "-", stdin=backup)
    kubectl("replace", "--subresource=status", "-f", "-", stdin=backup)
    assert statuses(kubectl)["over"] == done

    told.touch()
    start.operator(HAREBELL_AMQP_URL=new_broker.operator_url)
    diarist(start, "restored", diary, HAREBELL_AMQP_URL=new_broker.agent_url("restored"))
    for name in ("under-way", "waiting", "after"):
        assert finished(kubectl, name, 120)["phase"] == "Succeeded", name
    found = statuses(kubectl)
    assert found["over"] == done
    assert found["held"]["phase"] == "Pending"
    assert sorted(diary.read_text().split()) == ["after", "over", "under-way", "under-way", "waiting"]
