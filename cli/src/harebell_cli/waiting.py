"""``harebell follow``, ``wait`` and ``result``: what becomes of Tasks."""

import argparse
from collections.abc import Callable
from datetime import timedelta

from .errors import CommandError, TimeIsUpError
from .exits import DONE, FAILED, INTERRUPTED, REFUSED, TIMED_OUT
from .output import add_output, say_object
from .parser import Parser, add_examples, add_place, add_selection, add_timeout, object_name
from .session import Session
from .text import note, say, say_json, some

STATUSES = f"""\
exit status:
  {DONE}    Succeeded
  {FAILED}    Failed, Cancelled, DeadLettered, or deleted
  {REFUSED}    the command line is wrong, or the request was refused or not answered
  {TIMED_OUT}  the time of --timeout is over; the Task goes on
  {INTERRUPTED}  Ctrl-C; the Task goes on"""
_RESULT_STATUSES = f"""\
exit status:
  {DONE}    printed
  {FAILED}    the Task ended without a result
  {REFUSED}    there is none yet, or no such Task; or the request was refused or not answered"""


def follow_options(parser: Parser) -> None:
    """Add the options of ``follow``."""
    parser.add_argument("task", type=object_name, metavar="TASK")
    add_following(parser)
    add_place(parser)
    add_examples(parser, "follow count-words", "follow count-words --timeout 5m -o yaml", text=STATUSES)
    parser.set_defaults(act=_follow)


def wait_options(parser: Parser) -> None:
    """Add the options of ``wait``."""
    add_selection(parser, "TASK", "all of the namespace")
    add_timeout(parser, "give up after this, for all Tasks together")
    add_place(parser)
    add_examples(parser, "wait build-1 build-2 --timeout 10m", "wait -l team=web", text=STATUSES)
    parser.set_defaults(act=_wait)


def result_options(parser: Parser) -> None:
    """Add the options of ``result``."""
    parser.add_argument("task", type=object_name, metavar="TASK")
    add_place(parser)
    add_examples(
        parser,
        "result count-words",
        "result count-words | jq .words",
        text=_RESULT_STATUSES,
    )
    parser.set_defaults(act=_result)


def add_following(parser: argparse.ArgumentParser) -> None:
    """Add the options of what follows a Task."""
    add_timeout(parser, "stop following after this")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing of what happens meanwhile")
    add_output(parser, "result", "json", "yaml", words="print the result, or at the end the whole Task")


def follow_and_tell(session: Session, asked: argparse.Namespace, name: str, uid: str | None = None) -> int:
    """Follow a Task to its end, print what the options say, and return the exit status."""
    from .news import ending, exit_status
    from .tracking import DeletedError, track
    from .watching import Deadline

    tell: Callable[[str], None] = (lambda line: None) if asked.quiet else note
    try:
        deadline = Deadline.after(_seconds(asked.timeout))
        task = track(session.resources, name, deadline, tell, uid)
        if original := task.status.get("duplicateOf"):
            # Of Tasks with the same idempotency key, this is the one that is done.
            name = original["name"]
            tell(f"the same work is done by task/{name}, which is followed now")
            task = track(session.resources, name, deadline, tell, original["uid"])
    except TimeIsUpError:
        note(f"task/{name} has not finished within the time; it goes on.\n{_hints(session, name)}")
        return TIMED_OUT
    except KeyboardInterrupt:
        note(f"\ntask/{name} goes on.\n{_hints(session, name)}")
        return INTERRUPTED
    except DeletedError as error:
        note(f"harebell: {error}")
        return FAILED
    if asked.quiet and not task.succeeded:
        note(f"task/{name} {ending(task)}")
    if asked.output != "result":
        say_object(task.raw, asked.output)
    elif task.succeeded:
        say_json(task.status.get("result"))
    return exit_status(task)


def _follow(session: Session, asked: argparse.Namespace) -> int:
    return follow_and_tell(session, asked, asked.task)


def _wait(session: Session, asked: argparse.Namespace) -> int:
    from .choosing import chosen
    from .news import ending, exit_status
    from .resources import Kind
    from .tasks import Task
    from .tracking import DeletedError, track
    from .watching import Deadline

    deadline = Deadline.after(_seconds(asked.timeout))
    status, late = DONE, []
    known = chosen(session.resources, Kind.TASKS, asked)
    if not known:
        raise CommandError("there are no such Tasks, so there is nothing to wait for")
    for task in map(Task, known):
        try:
            if not task.finished:
                # When the time is over, this still says whether it has finished meanwhile.
                task = track(session.resources, task.name, deadline, lambda line: None, task.uid)
        except TimeIsUpError:
            late.append(task.name)
        except DeletedError as error:
            note(f"harebell: {error}")
            status = FAILED
        else:
            say(f"task/{task.name} {ending(task)}")
            status = max(status, exit_status(task))
    if late:
        note(f"not finished within the time: {some(late)}")
        return TIMED_OUT
    return status


def _result(session: Session, asked: argparse.Namespace) -> int:
    from .news import ending
    from .resources import Kind
    from .tasks import Task

    task = Task(session.resources.read(Kind.TASKS, asked.task))
    if not task.finished:
        raise CommandError(
            f"task/{task.name} has no result yet: it is {task.phase}."
            f" {session.shown('follow', task.name)} waits for it"
        )
    if not task.succeeded:
        note(f"task/{task.name} has no result: {ending(task)}")
        return FAILED
    say_json(task.status.get("result"))
    return DONE


def _hints(session: Session, name: str) -> str:
    return f"  follow it: {session.shown('follow', name)}\n  cancel it: {session.shown('cancel', name)}"


def _seconds(timeout: timedelta | None) -> float | None:
    return None if timeout is None else timeout.total_seconds()
