"""A node that is drained while its agents work and more work waits."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.kubectl import Kubectl
from tests.support.release import Release, manifest
from tests.support.tasks import statuses
from tests.support.waiting import until

AGENTS = 4
USUAL = 2
LONG, SHORT = 20, 1
"""Seconds; the first is more than an evicted agent may take to finish, the second less."""

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]


def scale(release: Release, replicas: int) -> None:
    """Have so many agents of type text, and no others."""
    deployment = f"deployment/{release.name}-harebell-agent-text"
    release.kubectl("scale", deployment, f"--replicas={replicas}")

    def settled() -> bool:
        agents = release.kubectl.items("agents", "-l", "harebell.dev/agent-type=text")
        online = {a["metadata"]["name"] for a in agents if a.get("status", {}).get("phase") == "Online"}
        return online == set(release.pods("agent-text")) and len(agents) == len(online) == replicas

    until(f"{replicas} agents", settled, 120, interval=1)


@pytest.fixture
def node(release: Release, kubectl: Kubectl) -> Iterator[str]:
    """The node with most of the agents, which takes Pods again afterwards."""
    scale(release, AGENTS)
    pods = [kubectl.get("pod", name) for name in release.pods("agent-text")]
    ((busiest, count),) = Counter(p["spec"]["nodeName"] for p in pods).most_common(1)
    if count == AGENTS and len(kubectl.items("nodes")) == 1:
        pytest.fail("this test drains a node, and needs another one for the agents to go to")
    yield busiest
    kubectl("uncordon", busiest)
    scale(release, USUAL)


def drain(release: Release, node: str) -> None:
    """Drain a node as people do, of this release's agents alone."""
    ours = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=agent-text"
    release.kubectl(
        *("drain", node, "--ignore-daemonsets", "--delete-emptydir-data"),
        *(f"--pod-selector={ours}", "--timeout=180s"),
        seconds=200,
    )


def test_a_drained_node_loses_no_work(release: Release, kubectl: Kubectl, node: str) -> None:
    names = [f"drained-{n}" for n in range(AGENTS + 2)]
    lengths = [LONG] * AGENTS + [SHORT] * 2
    tasks = [
        manifest(
            name, action="sleep", priority="high" if seconds == LONG else "low", payload={"seconds": seconds}
        )
        for name, seconds in zip(names, lengths, strict=True)
    ]
    kubectl.apply(*tasks)

    def begun() -> dict[str, str] | None:
        found = {n: s["agentName"] for n, s in statuses(kubectl).items() if s.get("phase") == "Running"}
        return found if set(names[:AGENTS]) <= found.keys() else None

    owners = until("all agents to work", begun)
    there = {p for p in release.pods("agent-text") if kubectl.get("pod", p)["spec"]["nodeName"] == node}
    hit = {name for name in names[:AGENTS] if owners[name] in there}
    assert hit, "no agent of the node works"
    drain(release, node)
    assert not there & set(release.pods("agent-text"))

    def done() -> dict[str, Any] | None:
        found = {name: status for name, status in statuses(kubectl).items() if name in names}
        return found if all(s.get("phase") == "Succeeded" for s in found.values()) else None

    ended = until("every Task to succeed", done, 180, interval=1)
    assert {status["failures"] for status in ended.values()} == {0}
    outcomes = {name: [a["outcome"] for a in status["attempts"]] for name, status in ended.items()}
    # Handed back by those that had to go, and by nobody else; how often depends on when the others came.
    for name, (*earlier, last) in outcomes.items():
        assert (set(earlier) <= {"Interrupted"}, last) == (True, "Succeeded"), name
    assert any(len(outcomes[name]) > 1 for name in hit)
    assert all(outcomes[name] == ["Succeeded"] for name in set(names[:AGENTS]) - hit)
