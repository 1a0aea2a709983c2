"""``harebell cancel``, ``suspend``, ``resume``, ``priority``; ``pause``, ``drain`` and their opposites."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .errors import RefusedError, TimeIsUpError
from .exits import DONE, FAILED, REFUSED, TIMED_OUT
from .parser import PRIORITIES, Parser, add_dry_run, add_examples, add_place, add_selection, add_timeout
from .session import Session
from .text import note, say

if TYPE_CHECKING:
    from .changes import Decide
    from .resources import Kind, Object

Deciding = Callable[[argparse.Namespace], "Decide"]
_STATUSES = f"""\
exit status:
  {DONE}    all done, or so already
  {FAILED}    some could not be done
  {REFUSED}    the command line is wrong, or a request was refused or not answered"""


def cancel_options(parser: Parser) -> None:
    """Add the options of ``cancel``."""

    def deciding(asked: argparse.Namespace) -> "Decide":
        from .changes import cancelling

        return partial(cancelling, immediate=asked.immediate)

    parser.add_argument("--immediate", action="store_true", help="stop actions at once, without cleaning up")
    _of_tasks(parser, deciding, "all that have not finished")
    add_examples(
        parser, "cancel count-words", "cancel -l team=web --immediate", "cancel --all", text=_STATUSES
    )


def suspend_options(parser: Parser) -> None:
    """Add the options of ``suspend``."""
    _of_tasks(parser, partial(_suspending, wanted=True), "all that have not finished")
    add_examples(parser, "suspend count-words", "suspend -l team=web", text=_STATUSES)


def resume_options(parser: Parser) -> None:
    """Add the options of ``resume``."""
    _of_tasks(parser, partial(_suspending, wanted=False), "all that are suspended")
    add_examples(parser, "resume count-words", "resume --all", text=_STATUSES)


def priority_options(parser: Parser) -> None:
    """Add the options of ``priority``."""

    def deciding(asked: argparse.Namespace) -> "Decide":
        from .changes import prioritizing

        return partial(prioritizing, level=asked.level)

    _of_tasks(parser, deciding, "all that wait")
    parser.add_argument("level", metavar="LEVEL", choices=PRIORITIES, help=", ".join(PRIORITIES))
    add_examples(parser, "priority count-words high", "priority -l team=web background", text=_STATUSES)


def pause_options(parser: Parser) -> None:
    """Add the options of ``pause``."""
    _of_agents(parser, "paused", True, "paused")
    add_examples(parser, "pause agent-text-1", "pause --type text --wait --timeout 10m", text=_STATUSES)


def unpause_options(parser: Parser) -> None:
    """Add the options of ``unpause``."""
    _of_agents(parser, "paused", False, "not paused")
    add_examples(parser, "unpause agent-text-1", "unpause --all", text=_STATUSES)


def drain_options(parser: Parser) -> None:
    """Add the options of ``drain``."""
    _of_agents(parser, "drain", True, "draining")
    add_examples(parser, "drain agent-text-1 --wait", "drain -l zone=a --timeout 10m --wait", text=_STATUSES)


def undrain_options(parser: Parser) -> None:
    """Add the options of ``undrain``."""
    _of_agents(parser, "drain", False, "not draining")
    add_examples(parser, "undrain agent-text-1", text=_STATUSES)


def _of_tasks(parser: Parser, deciding: Deciding, every: str) -> None:
    add_selection(parser, "TASK", every)
    add_dry_run(parser)
    add_place(parser)
    parser.set_defaults(act=partial(_change_tasks, deciding))


def _of_agents(parser: Parser, member: str, wanted: bool, done: str) -> None:
    add_selection(parser, "AGENT", "all of the namespace")
    parser.add_argument("--type", help="only agents of this type; alone: all of them")
    if wanted:
        parser.add_argument("--wait", action="store_true", help="until they know, and have no Task any more")
        add_timeout(parser, "give up waiting after this")
    add_dry_run(parser)
    add_place(parser)

    def deciding(asked: argparse.Namespace) -> "Decide":
        from .changes import ordering

        return partial(ordering, member=member, wanted=wanted, done=done)

    parser.set_defaults(act=partial(_change_agents, deciding), wait=False)


def _suspending(asked: argparse.Namespace, *, wanted: bool) -> "Decide":
    from .changes import suspending

    return partial(suspending, wanted=wanted)


def _change_tasks(deciding: Deciding, session: Session, asked: argparse.Namespace) -> int:
    from .choosing import chosen
    from .resources import Kind

    objects = chosen(session.resources, Kind.TASKS, asked)
    return _change(session, Kind.TASKS, objects, deciding(asked), asked)


def _change_agents(deciding: Deciding, session: Session, asked: argparse.Namespace) -> int:
    from .choosing import chosen
    from .resources import Kind

    if asked.type and not asked.names and not asked.selector:
        asked.all = True
    objects = chosen(session.resources, Kind.AGENTS, asked)
    if asked.type:
        objects = [each for each in objects if each["spec"]["type"] == asked.type]
    status = _change(session, Kind.AGENTS, objects, deciding(asked), asked)
    if not asked.wait or asked.dry_run != "none":
        return status
    return max(status, _wait_until_drained(session, [each["metadata"]["name"] for each in objects], asked))


def _change(
    session: Session,
    kind: "Kind",
    objects: "list[Object]",
    decide: "Decide",
    asked: argparse.Namespace,
) -> int:
    """Change each object as decided, say what became of it, and return the exit status."""
    from .changes import Change, Impossible

    named, status = bool(asked.names), DONE
    tried = f" ({asked.dry_run} dry run)" if asked.dry_run != "none" else ""
    nothing = True
    for known in objects:
        what = f"{kind.value.removesuffix('s')}/{known['metadata']['name']}"
        verdict = decide(known)
        if not isinstance(verdict, Change):
            # Of those that were chosen by labels or as all, only the ones are meant that can be changed.
            if named and isinstance(verdict, Impossible):
                note(f"harebell: {what} {verdict.words}")
                status = max(status, FAILED)
            elif named:
                say(f"{what} {verdict.words}")
                nothing = False
            continue
        nothing = False
        try:
            if asked.dry_run != "client":
                session.resources.patch(
                    kind, known, {"spec": verdict.spec}, dry_run=asked.dry_run == "server"
                )
            say(f"{what} {verdict.done}{tried}")
        except RefusedError as error:
            note(f"harebell: {what}: {error}")
            status = REFUSED
    if nothing and status == DONE:
        note(f"there are no {kind} for which that would change anything")
    return status


def _wait_until_drained(session: Session, names: list[str], asked: argparse.Namespace) -> int:
    from .conditions import wait_for
    from .resources import Kind
    from .watching import Deadline

    deadline = Deadline.after(None if asked.timeout is None else asked.timeout.total_seconds())
    late = []
    for name in names:
        try:
            gone = not wait_for(session.resources, Kind.AGENTS, name, "Drained", deadline)
        except TimeIsUpError:
            late.append(name)
        else:
            say(f"agent/{name} {'is gone' if gone else 'has no Task any more'}")
    if late:
        note(f"still at work, or not heard of, when the time was over: {', '.join(late)}")
        return TIMED_OUT
    return DONE
