"""``harebell run``: a Task from a command line."""

import argparse
import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .errors import CommandError, UnreachableError
from .exits import DONE
from .output import say_object
from .parser import (
    PRIORITIES,
    Parser,
    add_dry_run,
    add_examples,
    add_place,
    duration,
    object_name,
    pair,
    positive,
    shown_values,
)
from .session import Session
from .text import note, say
from .waiting import STATUSES, add_following, follow_and_tell

_INTERRUPTIONS = ("Auto", "Resume", "Requeue", "Fail")


def options(parser: Parser) -> None:
    """Add the options."""
    parser.description = (
        "Make a Task, follow it to its end, and print its result as JSON on standard output.\n"
        "What happens meanwhile is told on standard error."
    )
    parser.add_argument("action", metavar="ACTION", help="what is to be done, as agents of the type offer it")
    parser.add_argument("--type", required=True, help="of the agents that are to do it")

    payload = parser.add_argument_group("payload")
    whole = payload.add_mutually_exclusive_group()
    whole.add_argument("--payload", metavar="JSON", help="a JSON object; default: {}")
    whole.add_argument("--payload-file", metavar="FILE", help="has the JSON object; -: standard input")
    for option, words in (
        ("--set", "set a member, such as url=https://example.org or a.b=3; a value that is JSON is that"),
        ("--set-string", "the same, but the value is text, whatever it looks like"),
    ):
        payload.add_argument(
            option,
            dest="settings",
            action="append",
            default=[],
            metavar="PATH=VALUE",
            type=partial(_setting, option),
            help=words,
        )

    how = parser.add_argument_group("how it is done")
    how.add_argument(
        "--priority", choices=PRIORITIES, metavar="LEVEL", help=shown_values(PRIORITIES, "normal")
    )
    how.add_argument("--retries", type=positive, metavar="N", help="after the first attempt; default: 3")
    for option, words in (
        ("--deadline", "an attempt that takes longer fails the Task"),
        ("--queue-deadline", "the Task fails if no agent started it by then"),
        ("--ttl", "the Task is deleted so long after its end; default: 7d"),
    ):
        how.add_argument(option, type=duration, metavar="TIME", help=words)
    how.add_argument(
        "--on-interruption",
        choices=_INTERRUPTIONS,
        metavar="WHAT",
        help=f"when its agent is lost: {shown_values(_INTERRUPTIONS, 'Auto')}",
    )
    how.add_argument(
        "--depends-on",
        action="append",
        default=[],
        metavar="TASK[=Finished]",
        help="a Task that must succeed first, or only finish; may be repeated",
    )
    how.add_argument(
        "--idempotency-key",
        metavar="KEY",
        help="of the Tasks with the same key one is done; that is followed",
    )
    how.add_argument("--suspend", action="store_true", help="it waits until it is resumed; implies --detach")

    what = parser.add_argument_group("the Task")
    what.add_argument("--name", type=object_name, help="default: one made from the action")
    what.add_argument(
        "-l",
        "--label",
        type=pair,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="may be repeated",
    )

    parser.add_argument("-d", "--detach", action="store_true", help="do not follow it: print its name")
    add_following(parser)
    add_dry_run(parser)
    add_place(parser)
    add_examples(
        parser,
        """run text.stats --type text --set text="the quick brown fox" """.strip(),
        "run http.probe --type infra --payload-file probe.json --deadline 30s --retries 0",
        "run deploy --type infra --name deploy-42 --priority high --depends-on build-42 --detach",
        "run echo --type text --set n=1 --dry-run=client -o yaml",
        text=STATUSES,
    )
    parser.set_defaults(act=_run)


def task_manifest(asked: argparse.Namespace, text: str | None) -> dict[str, Any]:
    """Return the Task that the command line asks for; ``text`` is its payload, as JSON.

    :raises PayloadError: the payload cannot be used.
    """
    from harebell_crds import API_VERSION

    from .payloads import payload_of, setting, text_setting

    read = {"--set": setting, "--set-string": text_setting}
    spec: dict[str, Any] = {
        "agentType": asked.type,
        "action": asked.action,
        "payload": payload_of(text, [read[kind](given) for kind, given in asked.settings]),
    }
    optional = {
        "priority": asked.priority,
        "retryPolicy": None if asked.retries is None else {"maxRetries": asked.retries},
        "activeDeadlineSeconds": asked.deadline and int(asked.deadline.total_seconds()),
        "queueDeadlineSeconds": asked.queue_deadline and int(asked.queue_deadline.total_seconds()),
        "ttlSecondsAfterFinished": asked.ttl and int(asked.ttl.total_seconds()),
        "onInterruption": asked.on_interruption,
        "dependsOn": [_dependency(given) for given in asked.depends_on] or None,
        "idempotencyKey": asked.idempotency_key,
        "suspend": asked.suspend or None,
    }
    spec |= {member: value for member, value in optional.items() if value is not None}
    name = {"name": asked.name} if asked.name else {"generateName": _prefix(asked.action)}
    labels = {"labels": dict(asked.label)} if asked.label else {}
    return {"apiVersion": API_VERSION, "kind": "Task", "metadata": {**name, **labels}, "spec": spec}


def _run(session: Session, asked: argparse.Namespace) -> int:
    try:
        manifest = task_manifest(asked, _payload_text(asked))
    except ValueError as error:
        raise CommandError(str(error)) from error
    detached = asked.detach or asked.suspend
    if asked.dry_run == "client":
        _say_made(manifest, asked, "would be made")
        return DONE
    from .resources import Kind

    try:
        made = session.resources.create(Kind.TASKS, manifest, dry_run=asked.dry_run == "server")
    except UnreachableError as error:
        again = (
            f"{session.shown('follow', asked.name)} tells"
            if asked.name
            else "kubectl get tasks tells; with --idempotency-key it could be tried again"
        )
        raise CommandError(f"{error}\nWhether the Task was made is not known: {again}") from error
    name = made["metadata"]["name"]
    if asked.dry_run == "server":
        _say_made(made, asked, "would be made")
        return DONE
    if detached:
        _say_made(made, asked, f"made; follow it: {session.shown('follow', name)}")
        return DONE
    if not asked.quiet:
        note(f"task/{name} made")
    return follow_and_tell(session, asked, name, made["metadata"]["uid"])


def _setting(option: str, given: str) -> tuple[str, str]:
    return option, given


def _say_made(task: Mapping[str, Any], asked: argparse.Namespace, words: str) -> None:
    """Print the Task as ``-o`` asks for it; without it, its name, and the rest beside it."""
    metadata = task["metadata"]
    name = metadata.get("name") or f"{metadata['generateName']}..."
    if asked.output != "result":
        say_object(task, asked.output)
        return
    say(name)
    if not asked.quiet:
        note(f"task/{name} {words}")


def _payload_text(asked: argparse.Namespace) -> str | None:
    given: str | None = asked.payload
    if asked.payload_file is None:
        return given
    try:
        if asked.payload_file == "-":
            return sys.stdin.read()
        return Path(asked.payload_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the payload cannot be read: {error}") from error


def _dependency(given: str) -> dict[str, str]:
    name, equals, condition = given.partition("=")
    return {"name": object_name(name), **({"condition": condition} if equals else {})}


def _prefix(action: str) -> str:
    """Return what a generated name begins with."""
    return (re.sub(r"[^a-z0-9]+", "-", action.lower()).strip("-")[:50].rstrip("-") or "task") + "-"
