"""Limits that may have to change while the broker runs, as RabbitMQ's policies.

``python -m harebell_bus.policies DIRECTORY...`` writes them as ``rabbitmqctl import_definitions`` reads them.

Arguments of an existing queue cannot be changed; policies can, and a queue takes them over at once. Where
both set a value, RabbitMQ takes the lower one for a quorum queue's length and time to live, and the policy's
for a stream (RabbitMQ documentation, "Queue Length Limit", "Time-To-Live and Expiration" and "Policies:
Conflict Resolution with Regular Policies"). So the arguments in :mod:`.topology` and :mod:`.history` say what
holds without any policy: for a quorum queue the most that a policy can allow, for a stream a default.

The Helm chart loads the same policies; a test compares the two.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .history import HISTORY_STREAM, MAX_AGE
from .topology import DAY_MS, DEAD_LETTERS_QUEUE, HEARTBEATS_QUEUE, Queue

FILE = "policies.json"
VHOST: Final = "harebell"
"""The virtual host in the file: what the chart calls its own."""

PRIORITY: Final = 10
"""Of all that match a queue, only the policy of the highest priority counts. This one is above those for all
queues, usually of 0 or less, and leaves room for a platform's own."""


@dataclass(frozen=True)
class Policy:
    """A policy for one queue, whatever virtual host that is in."""

    name: str
    queue: str
    apply_to: str
    """The type of the queue, as policies call it: ``quorum_queues`` or ``streams``."""
    definition: Mapping[str, int | str]
    """Values by the names of the queue's arguments, without their ``x-``."""

    @property
    def pattern(self) -> str:
        """A regular expression for the queue's name, and for no other."""
        # Of what queues' names are made of, only the dot means something in a regular expression.
        return "^" + self.queue.replace(".", r"\.") + "$"

    def as_json(self, vhost: str) -> dict[str, Any]:
        """Return the policy as RabbitMQ's definitions have it."""
        return {
            "vhost": vhost,
            "name": self.name,
            "pattern": self.pattern,
            "apply-to": self.apply_to,
            "definition": dict(self.definition),
            "priority": PRIORITY,
        }


POLICIES: Final = (
    # An unread heartbeat is worth nothing once its agent would be called offline.
    Policy(
        "harebell-heartbeats",
        HEARTBEATS_QUEUE,
        "quorum_queues",
        {"max-length": 100_000, "message-ttl": 180_000},
    ),
    Policy("harebell-dead-letters", DEAD_LETTERS_QUEUE, "quorum_queues", {"message-ttl": 7 * DAY_MS}),
    # How many bytes there is room for, the broker's owner knows; the chart adds max-length-bytes.
    Policy("harebell-history", HISTORY_STREAM, "streams", {"max-age": MAX_AGE}),
)


def policy_of(queue: Queue) -> Policy | None:
    """Return the policy for a queue, if there is one."""
    return next((policy for policy in POLICIES if policy.queue == queue.name), None)


def definitions(vhost: str) -> dict[str, list[dict[str, Any]]]:
    """Return all policies as RabbitMQ's definitions; the virtual host must exist when they are loaded."""
    return {"policies": [policy.as_json(vhost) for policy in POLICIES]}


def main() -> None:
    """Write the policies into each directory given."""
    parser = argparse.ArgumentParser(description="Write the policies of harebell's queues.")
    parser.add_argument("directory", nargs="+", type=Path, help=f"where to write {FILE}")
    for directory in parser.parse_args().directory:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / FILE).write_text(json.dumps(definitions(VHOST), indent=2) + "\n")


if __name__ == "__main__":
    main()
