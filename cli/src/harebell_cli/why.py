"""``harebell why``: gathers what is known of a Task; :mod:`.explanation` says it."""

import argparse
from typing import TYPE_CHECKING

from .errors import RefusedError
from .exits import DONE
from .parser import Parser, add_examples, add_place, object_name
from .session import Session
from .text import note, say

if TYPE_CHECKING:
    from .resources import Object, Resources

_TEXT = """\
Says what the Task waits for or failed of, what it depends on, how its attempts ended, which agents of its
type there are and what they do, its Events, and what may help."""


def options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("task", type=object_name, metavar="TASK")
    add_place(parser)
    add_examples(
        parser,
        "why count-words",
        text=_TEXT,
    )
    parser.set_defaults(act=_why)


def _why(session: Session, asked: argparse.Namespace) -> int:
    from .explanation import Facts, explain
    from .resources import Kind
    from .tasks import Task

    resources = session.resources
    task = Task(resources.read(Kind.TASKS, asked.task))
    agents = _agents(resources, task.spec["agentType"])
    needed = {
        each["name"]: resources.find(Kind.TASKS, each["name"]) for each in task.spec.get("dependsOn") or ()
    }
    facts = Facts(
        task,
        agents,
        {name: Task(raw) if raw else None for name, raw in needed.items()},
        _events(resources, task.uid),
        _broker_trouble(resources),
    )
    say(explain(facts, session.now(), session.shown))
    return DONE


def _agents(resources: "Resources", agent_type: str) -> "list[Object] | None":
    from .resources import Kind

    try:
        found = resources.select(Kind.AGENTS).items
    except RefusedError as error:
        note(f"without agents: {error}")
        return None
    return [agent for agent in found if agent["spec"]["type"] == agent_type]


def _events(resources: "Resources", uid: str) -> "list[Object]":
    try:
        return resources.events_of(uid)
    except RefusedError as error:
        note(f"without Events: {error}")
        return []


def _broker_trouble(resources: "Resources") -> str | None:
    """Return what the operator says of a broker that it cannot reach. None: nothing."""
    from harebell_crds.bus import BUS_NAME, BusCondition

    from .resources import Kind

    try:
        bus = resources.find(Kind.BUSES, BUS_NAME) or {}
    except RefusedError:
        return None
    for condition in (bus.get("status") or {}).get("conditions") or ():
        if condition["type"] == BusCondition.BROKER_REACHABLE.value and condition["status"] == "False":
            return f"{condition['reason']}: {condition.get('message', '')}"
    return None
