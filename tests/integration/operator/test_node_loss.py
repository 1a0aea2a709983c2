"""A broker of three nodes of which one is away: work goes on, and nothing is lost."""

from functools import partial

import pytest
from tests.support.broker_nodes import BrokerNodes
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes
from tests.support.release import manifest
from tests.support.tasks import all_in, statuses
from tests.support.waiting import until

from harebell_bus.lanes import LEVELS, Tier

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


def apply_one_of_each(kubectl: Kubectl, prefix: str, kind: str) -> list[str]:
    """Apply a Task of every level and tier; return their names."""
    tasks = [
        manifest(f"{prefix}-{level}-{tier.lower()}", kind, priority=level, persistence=tier.value)
        for level in LEVELS
        for tier in Tier
    ]
    kubectl.apply(*tasks)
    return [task["metadata"]["name"] for task in tasks]


def test_whichever_node_is_down_work_of_every_lane_goes_on(
    start: Processes, kubectl: Kubectl, broker_nodes: BrokerNodes
) -> None:
    start.operator()
    start.agent("worker", "away")
    names = apply_one_of_each(kubectl, "first", "away")
    until("work with all nodes", lambda: all_in("Succeeded", kubectl, names), 60)
    for node in broker_nodes.names:
        # The Pod stays, so that Kubernetes does not bring the node back before the test is done.
        broker_nodes.kubectl("exec", node, "--", "rabbitmqctl", "-q", "stop_app")
        try:
            names = apply_one_of_each(kubectl, f"without-{node}", "away")
            until(f"work without {node}", partial(all_in, "Succeeded", kubectl, names), 180)
            assert {statuses(kubectl)[name]["attempt"] for name in names} == {1}
        finally:
            broker_nodes.kubectl("exec", node, "--", "rabbitmqctl", "-q", "start_app")
        broker_nodes.whole()


def test_what_waits_outlives_the_crash_of_any_node(
    start: Processes, kubectl: Kubectl, broker_nodes: BrokerNodes
) -> None:
    start.operator()
    names = apply_one_of_each(kubectl, "waits", "crash")
    until("all to be queued", lambda: all_in("Queued", kubectl, names), 60)
    for node in broker_nodes.names:
        broker_nodes.kill(node)
        broker_nodes.whole()
    start.agent("late", "crash")
    until("all to be done", lambda: all_in("Succeeded", kubectl, names), 180)
    assert {statuses(kubectl)[name]["attempt"] for name in names} == {1}
