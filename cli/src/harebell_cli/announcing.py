"""``harebell announce``: an Announcement from a command line."""

import argparse
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .errors import CommandError, TimeIsUpError
from .exits import DONE, TIMED_OUT
from .output import say_object
from .parser import (
    Parser,
    add_dry_run,
    add_examples,
    add_place,
    add_timeout,
    duration,
    object_name,
    pair,
)
from .session import Session
from .text import note, say

_KINDS = {
    "pause": "Pause",
    "resume": "Resume",
    "maintenance": "Maintenance",
    "quota-alert": "QuotaAlert",
    "notice": "Notice",
}
_TEXT = """\
A pause has agents finish what they do and take nothing new, until it expires, is deleted, or a later resume
ends it. Without --type, --agent and --selector it is for all agents. Printed is the name of the Announcement:
kubectl delete announcement NAME takes it back."""


def options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("kind", metavar="KIND", type=_kind, help=", ".join(_KINDS))
    parser.add_argument("-m", "--message", required=True, help="what agents, and people, are told")
    parser.add_argument("--expires", type=duration, metavar="TIME", help="it ends after this; default: never")
    parser.add_argument("--name", type=object_name, help="default: one made from the kind")
    whom = parser.add_argument_group("for agents that meet all of")
    whom.add_argument("--type", action="append", default=[], help="of this type; may be repeated")
    whom.add_argument(
        "--agent", action="append", default=[], type=object_name, help="of this name; may be repeated"
    )
    whom.add_argument(
        "-l", "--selector", type=_labels, default={}, metavar="KEY=VALUE,...", help="with labels"
    )
    parser.add_argument("--wait", action="store_true", help="until all of them have said that they know")
    add_timeout(parser, "give up waiting after this")
    parser.add_argument(
        "-o", "--output", choices=["name", "json", "yaml"], default="name", help="default: name"
    )
    add_dry_run(parser)
    add_place(parser)
    add_examples(
        parser,
        """announce pause --message "new model tonight" --type text --expires 2h --wait --timeout 1m""",
        """announce resume --message "done" --type text""",
        """announce quota-alert -m "90 % of the GPU hours are used" -l team=web""",
        text=_TEXT,
    )
    parser.set_defaults(act=_announce)


def announcement_manifest(asked: argparse.Namespace, now: datetime) -> dict[str, Any]:
    """Return the Announcement that the command line asks for."""
    from harebell_crds import API_VERSION

    selector = {"types": asked.type, "names": asked.agent, "matchLabels": asked.selector}
    name = {"name": asked.name} if asked.name else {"generateName": f"{asked.kind.lower()}-"}
    spec = {
        "kind": asked.kind,
        "message": asked.message,
        "agentSelector": {member: value for member, value in selector.items() if value},
    }
    if asked.expires:
        spec["expiresAt"] = (now + asked.expires).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"apiVersion": API_VERSION, "kind": "Announcement", "metadata": name, "spec": spec}


def _announce(session: Session, asked: argparse.Namespace) -> int:
    manifest = announcement_manifest(asked, session.now())
    if asked.dry_run == "client":
        _say_made(manifest, asked.output)
        return DONE
    from .resources import Kind

    made = session.resources.create(Kind.ANNOUNCEMENTS, manifest, dry_run=asked.dry_run == "server")
    _say_made(made, asked.output)
    if not manifest["spec"]["agentSelector"]:
        note("it is for all agents of the namespace")
    if not asked.wait or asked.dry_run != "none":
        return DONE
    return _wait(session, asked, made["metadata"]["name"])


def _wait(session: Session, asked: argparse.Namespace, name: str) -> int:
    from .conditions import wait_for
    from .resources import Kind
    from .text import some
    from .watching import Deadline

    deadline = Deadline.after(None if asked.timeout is None else asked.timeout.total_seconds())
    try:
        there = wait_for(session.resources, Kind.ANNOUNCEMENTS, name, "Acknowledged", deadline)
    except TimeIsUpError:
        found = session.resources.find(Kind.ANNOUNCEMENTS, name) or {}
        pending = (found.get("status") or {}).get("pending") or ["not known"]
        note(f"not acknowledged within the time, by: {some(pending, 20)}")
        return TIMED_OUT
    if not there:
        raise CommandError(f"announcement/{name} was deleted meanwhile")
    note("all of them know")
    return DONE


def _say_made(announcement: Mapping[str, Any], output: str) -> None:
    if output == "name" and "name" not in announcement["metadata"]:
        say(f"{announcement['metadata']['generateName']}...")
    else:
        say_object(announcement, output)


def _kind(text: str) -> str:
    kinds = {**_KINDS, **{kind.lower(): kind for kind in _KINDS.values()}}
    if text.lower() not in kinds:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(_KINDS)}")
    return kinds[text.lower()]


def _labels(text: str) -> dict[str, str]:
    return dict(pair(part.strip()) for part in text.split(","))
