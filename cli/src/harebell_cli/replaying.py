"""``harebell replay``: unsuccessful Tasks done again, each as a new Task."""

import argparse
from typing import TYPE_CHECKING, Any

from .errors import RefusedError
from .exits import DONE, FAILED, REFUSED
from .parser import Parser, add_dry_run, add_examples, add_place, add_selection
from .session import Session
from .text import note, say

if TYPE_CHECKING:
    from .resources import Object, Resources

_TEXT = f"""\
Printed are the names of the replays. Each is named after its Task, as NAME-r1, so that asking twice makes
one, and depends on what that depended on, or on replays of it. -l and --all mean dead letters only.

exit status:
  {DONE}    all are done again
  {FAILED}    some could not be
  {REFUSED}    the command line is wrong, or a request was refused or not answered"""


def options(parser: Parser) -> None:
    """Add the options."""
    add_selection(parser, "TASK", "all that are DeadLettered")
    add_dry_run(parser)
    add_place(parser)
    add_examples(parser, "replay count-words", "replay -l team=web", text=_TEXT)
    parser.set_defaults(act=_replay)


def _replay(session: Session, asked: argparse.Namespace) -> int:
    from harebell_crds.replay import REPLAYABLE, DependencyGoneError

    from .choosing import chosen
    from .resources import Kind
    from .tasks import Task

    known = [Task(raw) for raw in chosen(session.resources, Kind.TASKS, asked)]
    if not asked.names:
        known = [task for task in known if task.phase == "DeadLettered"]
        if not known:
            note("there are no dead letters among them")
    status = DONE
    for task in known:
        try:
            if task.phase not in REPLAYABLE:
                raise _NotReplayableError(
                    f"only a finished Task without success can be done again; this one is {task.phase}"
                )
            say(_replayed(session.resources, task.raw, asked.dry_run))
        except (_NotReplayableError, DependencyGoneError) as error:
            note(f"harebell: task/{task.name}: {error}")
            status = max(status, FAILED)
        except RefusedError as error:
            note(f"harebell: task/{task.name}: {error}")
            status = REFUSED
    return status


class _NotReplayableError(Exception):
    pass


def _replayed(resources: "Resources", original: "Object", dry_run: str) -> str:
    """Make a replay and return its name; one that was made before will do."""
    from .resources import Kind

    manifest = _manifest(resources, original)
    name = str(manifest["metadata"]["name"])
    if dry_run == "client":
        return name
    try:
        resources.create(Kind.TASKS, manifest, dry_run=dry_run == "server")
    except RefusedError as error:
        if error.reason != "AlreadyExists":
            raise
        there = resources.find(Kind.TASKS, name)
        if there is None or (there["spec"].get("replayOf") or {}).get("uid") != original["metadata"]["uid"]:
            raise _NotReplayableError(f"another Task has the name {name}") from error
    return name


def _manifest(resources: "Resources", original: "Object") -> dict[str, Any]:
    from harebell_crds.replay import known, replay_manifest

    from .resources import Kind

    steps = replay_manifest(original)
    try:
        name = next(steps)
        while True:
            found = resources.find(Kind.TASKS, name)
            name = steps.send(known(found) if found else None)
    except StopIteration as done:
        manifest: dict[str, Any] = done.value
        return manifest
