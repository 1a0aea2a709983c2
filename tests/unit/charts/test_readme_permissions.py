"""The commands that the chart's README gives for a RabbitMQ of one's own, as a shell reads them."""

import re
import subprocess
from pathlib import Path

from harebell_bus.permissions import (
    Permissions,
    agent_permissions,
    archiver_permissions,
    operator_permissions,
)

README = Path(__file__).parents[3] / "charts" / "harebell" / "README.md"
PRINTED = r"""rabbitmqctl() { printf '%s\n' "$@" ---; }"""


def commands() -> list[list[str]]:
    """The arguments of each rabbitmqctl in the block that sets permissions."""
    (block,) = (
        b for b in re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL) if "set_permissions" in b
    )
    done = subprocess.run(
        ["bash", "-euc", f"{PRINTED}\n{block}"], check=True, capture_output=True, text=True, env={}
    )
    return [each.splitlines() for each in done.stdout.split("---\n") if each]


def expected(vhost: str, user: str, of: Permissions) -> list[list[str]]:
    where = ["-p", vhost, user]
    return [
        ["set_permissions", *where, of.configure, of.write, of.read],
        *(["set_topic_permissions", *where, topic.exchange, topic.write, topic.read] for topic in of.topics),
    ]


def test_the_permissions_in_the_readme_are_those_of_the_bus() -> None:
    assert commands() == [
        ["add_vhost", "harebell"],
        *expected("harebell", "operator", operator_permissions()),
        *expected("harebell", "archiver", archiver_permissions()),
        *expected("harebell", "agent-text", agent_permissions("text")),
    ]
