"""``harebell version``: of this command, and of what it talks to."""

import argparse
from collections import Counter
from importlib.metadata import version
from typing import Any

from .errors import CommandError
from .exits import DONE, REFUSED
from .output import add_output
from .parser import Parser, add_examples, add_place
from .session import Session
from .text import note, say, say_json


def options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("--client", action="store_true", help="only that of this command")
    add_output(parser, "text", "json", words="for people, or for programs")
    add_place(parser)
    add_examples(parser, "version", "version --client", "version -n agents -o json")
    parser.set_defaults(act=_version)


def _version(session: Session, asked: argparse.Namespace) -> int:
    found: dict[str, Any] = {"command": version("harebell-cli")}
    problem = None
    if not asked.client:
        try:
            found["installation"] = _installation(session)
        except CommandError as error:
            problem = str(error)
    if asked.output == "json":
        say_json(found)
    else:
        say("\n".join(lines(found)))
    if problem is not None:
        note(f"harebell: of the installation nothing can be said: {problem}")
        return REFUSED
    return DONE


def lines(found: dict[str, Any]) -> list[str]:
    """Return what was found, for people."""
    told = [f"harebell {found['command']}"]
    place = found.get("installation")
    if place is None:
        return told
    if not place["operated"]:
        return [*told, f"no operator has been at work in namespace {place['namespace']}"]
    told.append(f"installation in namespace {place['namespace']}:")
    for part, title in (("operator", "operator"), ("rabbitmq", "RabbitMQ")):
        told.append(f"  {title} {place[part] or 'of an unknown version'}")
    for condition in place["conditions"]:
        why = f", {condition['message']}" if condition["message"] else ""
        told.append(f"  {condition['type']}: {condition['status']} ({condition['reason']}{why})")
    agents = ", ".join(f"{number} of {each}" for each, number in sorted(place["agents"].items()))
    return [*told, f"  agents: {agents or 'none'}"]


def _installation(session: Session) -> dict[str, Any]:
    from harebell_crds.bus import BUS_NAME

    from .resources import Kind

    bus = session.resources.find(Kind.BUSES, BUS_NAME)
    status = (bus or {}).get("status") or {}
    agents = session.resources.select(Kind.AGENTS).items if bus else []
    return {
        "namespace": session.namespace,
        "operated": bus is not None,
        "operator": (status.get("operator") or {}).get("version"),
        "rabbitmq": (status.get("broker") or {}).get("version"),
        "conditions": [
            {member: each.get(member, "") for member in ("type", "status", "reason", "message")}
            for each in status.get("conditions") or ()
        ],
        "agents": Counter(
            str((agent.get("status") or {}).get("version") or "a version that is not known")
            for agent in agents
        ),
    }
