"""A broker of three nodes of which one is away: work goes on, and nothing is lost."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.cluster import api
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes, processes
from tests.support.release import manifest
from tests.support.servers import SERVERS_NAMESPACE, Servers, Vhost, deploy_rabbitmq
from tests.support.tasks import all_in, statuses
from tests.support.waiting import until

from harebell_bus.lanes import LEVELS, Tier

NODES = 3


@pytest.fixture(scope="module")
def brokers(cluster: api.Cluster) -> Iterator[Servers]:
    """Three nodes, for this module only: they take memory and volumes."""
    namespace = f"{SERVERS_NAMESPACE}-{NODES}"
    yield deploy_rabbitmq(cluster, namespace, NODES)
    Kubectl(cluster, namespace)("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def vhost(brokers: Servers, namespace: str) -> Vhost:
    return brokers.vhost(namespace)


@pytest.fixture
def start(tmp_path: Path, vhost: Vhost, namespace: str, kubeconfig: Path) -> Iterator[Processes]:
    with processes(tmp_path, vhost.operator_url, vhost.agent_url, namespace, kubeconfig) as starter:
        yield starter


def settled(brokers: Servers) -> None:
    arguments = ("rollout", "status", "statefulset/rabbit-rabbitmq", "--timeout=240s")
    brokers.kubectl(*arguments, seconds=260)


def apply_one_of_each(kubectl: Kubectl, prefix: str, kind: str) -> list[str]:
    """Apply a Task of every level and tier; return their names."""
    tasks = [
        manifest(f"{prefix}-{level}-{tier.lower()}", kind, priority=level, persistence=tier.value)
        for level in LEVELS
        for tier in Tier
    ]
    kubectl.apply(*tasks)
    return [task["metadata"]["name"] for task in tasks]


@pytest.mark.timeout(900)
def test_whichever_node_is_down_work_of_every_lane_goes_on(
    start: Processes, kubectl: Kubectl, brokers: Servers
) -> None:
    start.operator()
    start.agent("worker", "away")
    names = apply_one_of_each(kubectl, "first", "away")
    until("work with all nodes", lambda: all_in("Succeeded", kubectl, names), 60)
    for node in range(NODES):
        pod = f"rabbit-rabbitmq-{node}"
        # The Pod stays, so that Kubernetes does not bring the node back before the test is done.
        brokers.kubectl("exec", pod, "--", "rabbitmqctl", "-q", "stop_app")
        try:
            names = apply_one_of_each(kubectl, f"without-{node}", "away")
            until(f"work without {pod}", partial(all_in, "Succeeded", kubectl, names), 180)
            assert {statuses(kubectl)[name]["attempt"] for name in names} == {1}
        finally:
            brokers.kubectl("exec", pod, "--", "rabbitmqctl", "-q", "start_app")
        settled(brokers)


@pytest.mark.timeout(900)
def test_what_waits_outlives_the_crash_of_any_node(
    start: Processes, kubectl: Kubectl, brokers: Servers
) -> None:
    start.operator()
    names = apply_one_of_each(kubectl, "waits", "crash")
    until("all to be queued", lambda: all_in("Queued", kubectl, names), 60)
    for node in range(NODES):
        brokers.kubectl("delete", "pod", f"rabbit-rabbitmq-{node}", "--grace-period=0", "--force")
        settled(brokers)
    start.agent("late", "crash")
    until("all to be done", lambda: all_in("Succeeded", kubectl, names), 180)
    assert {statuses(kubectl)[name]["attempt"] for name in names} == {1}
