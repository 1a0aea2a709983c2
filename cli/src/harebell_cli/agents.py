"""``harebell agents``: who there is, what they do, and what they have left."""

import argparse
from typing import TYPE_CHECKING

from .exits import DONE
from .output import add_output, say_list
from .parser import Parser, add_examples, add_place, object_name
from .session import Session
from .text import note, say

if TYPE_CHECKING:
    from .resources import Object


def options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("names", nargs="*", metavar="AGENT", type=object_name, help="default: all")
    parser.add_argument("-l", "--selector", metavar="LABELS", help="those with these labels: zone=a")
    parser.add_argument("--type", help="only agents of this type")
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="those of every namespace")
    add_output(parser, "table", "wide", "json", "yaml", "name", words="wide has more columns")
    add_place(parser)
    add_examples(
        parser,
        "agents",
        "agents --type text -o wide",
        "agents -o json | jq '.items[].status.resources.gpus'",
    )
    parser.set_defaults(act=_agents)


def _agents(session: Session, asked: argparse.Namespace) -> int:
    from .agent_table import agent_table

    found = [agent for agent in _asked_for(session, asked) if asked.type in (None, agent["spec"]["type"])]
    found.sort(key=lambda a: (a["metadata"]["namespace"], a["spec"]["type"], a["metadata"]["name"]))
    if asked.output not in ("table", "wide"):
        say_list(found, asked.output)
    elif found:
        everywhere = asked.all_namespaces
        say(agent_table(found, session.now(), wide=asked.output == "wide", namespaces=everywhere))
    else:
        where = "" if asked.all_namespaces else f" in namespace {session.namespace}"
        note(f"there are no agents{f' of type {asked.type}' if asked.type else ''}{where}")
    return DONE


def _asked_for(session: Session, asked: argparse.Namespace) -> "list[Object]":
    from .resources import Kind

    if asked.names and not asked.all_namespaces:
        return [session.resources.read(Kind.AGENTS, name) for name in dict.fromkeys(asked.names)]
    found = session.resources.select(
        Kind.AGENTS, selector=asked.selector or "", everywhere=asked.all_namespaces
    ).items
    return [agent for agent in found if not asked.names or agent["metadata"]["name"] in asked.names]
