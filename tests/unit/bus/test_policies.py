"""Policies and the queue arguments that they meet."""

import json
import re
from pathlib import Path

import pytest

from harebell_bus import inventory, policies
from harebell_bus.policies import POLICIES, Policy, policy_of
from harebell_bus.topology import Queue

REPOSITORY = Path(__file__).parents[3]
QUEUES = inventory.topology().queues
TYPES = {"quorum_queues": "quorum", "streams": "stream", "classic_queues": "classic"}
BOUNDS = {"x-max-length", "x-max-length-bytes", "x-message-ttl", "x-max-age"}
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)


def governed(policy: Policy) -> Queue:
    """The queue that RabbitMQ would apply it to, of all there are."""
    (found,) = (queue for queue in QUEUES if re.search(policy.pattern, queue.name))
    return found


@every_policy
def test_each_is_for_one_queue_of_its_type(policy: Policy) -> None:
    queue = governed(policy)
    assert queue.name == policy.queue
    assert queue.arguments["x-queue-type"] == TYPES[policy.apply_to]
    assert policy_of(queue) == policy
    assert not re.search(policy.pattern, queue.name.replace(".", "-"))


def test_no_queue_has_two() -> None:
    assert len({policy.queue for policy in POLICIES}) == len(POLICIES)
    assert policy_of(Queue("harebell.replies")) is None


@every_policy
def test_none_changes_what_work_relies_on(policy: Policy) -> None:
    assert {f"x-{name}" for name in policy.definition} <= BOUNDS


@every_policy
def test_a_quorum_queues_argument_leaves_a_policy_room(policy: Policy) -> None:
    # Of two numbers RabbitMQ takes the lower.
    arguments = governed(policy).arguments
    limits = {name: value for name, value in policy.definition.items() if isinstance(value, int)}
    assert all(value < arguments[f"x-{name}"] for name, value in limits.items())


@pytest.mark.parametrize(
    "name", ["harebell.heartbeats", "harebell.dead-letters", "harebell.history", "harebell.archive-reports"]
)
def test_what_nobody_may_empty_is_bounded_without_any_policy(name: str) -> None:
    (queue,) = (queue for queue in QUEUES if queue.name == name)
    assert BOUNDS & queue.arguments.keys()


def test_the_file_has_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["policies", str(tmp_path)])
    policies.main()
    written = json.loads((tmp_path / policies.FILE).read_text())
    assert written == policies.definitions("harebell")
    assert [policy["name"] for policy in written["policies"]] == [policy.name for policy in POLICIES]
