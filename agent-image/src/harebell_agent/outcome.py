"""How an attempt ended, and what is replied: a pure function, no clock and no I/O."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

import pydantic_core
from pydantic import AwareDatetime

from harebell_bus.envelopes import (
    AgentRef,
    Cancelled,
    Failed,
    Interrupted,
    InterruptionCause,
    Succeeded,
    TaskRef,
)

from .errors import TaskError

RESULT_BYTES = 64 * 1024
"""The largest result, as JSON; a Task's status holds no more."""
MESSAGE_CHARACTERS = 8192
CODE_CHARACTERS = 128
ENVELOPE_LEVELS = 30
"""Levels of nesting that a reader's limit must have left for what a value comes to lie in: a reply, the
inputs of other work, a resource. The API shows nothing of one that is deeper than 180 levels."""
_LONG_NUMBER = re.compile(r"[0-9]{19}")
INTERNAL_ERROR = "InternalError"
"""The code where the agent went wrong, and not the action."""


class StopCause(StrEnum):
    """Who wanted an action stopped."""

    CANCELLED = "Cancelled"
    DEADLINE = "DeadlineExceeded"
    SHUTDOWN = "Shutdown"
    SUSPENDED = "Suspended"
    REDELIVERED = "Redelivered"

    @property
    def hands_back(self) -> bool:
        """Whether the work is to go on elsewhere or later."""
        return self in (StopCause.SHUTDOWN, StopCause.SUSPENDED, StopCause.REDELIVERED)


@dataclass(frozen=True)
class Returned:
    """The action returned this."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The action raised this; of a group, as of a TaskGroup, what :func:`decisive` finds."""

    error: BaseException


@dataclass(frozen=True)
class Stopped:
    """The action was stopped before it ended."""

    cause: StopCause
    reason: str
    begun: bool = True
    """Whether the action had begun."""


@dataclass(frozen=True)
class NotOffered:
    """The agent has no such action."""

    action: str
    offered: Sequence[str]


@dataclass(frozen=True)
class BadPayload:
    """The action does not take this payload."""

    problems: str


@dataclass(frozen=True)
class Broken:
    """The agent itself went wrong, in a way that was not foreseen."""

    error: Exception


Ending = Returned | Raised | Stopped | NotOffered | BadPayload | Broken
Outcome = Succeeded | Failed | Cancelled | Interrupted


def decisive(error: BaseException) -> BaseException:
    """Return which of the exceptions in a group says how the action failed.

    The first that is permanent; the only one there is; otherwise the group. What is no group counts itself.
    """
    leaves = _leaves(error)
    permanent = [each for each in leaves if isinstance(each, TaskError) and not each.retryable]
    if permanent or len(leaves) == 1:
        return (permanent or leaves)[0]
    return error


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in _leaves(each)]


def may_go_on(ending: Ending) -> bool:
    """Return whether another attempt may go on from what this one saved."""
    match ending:
        case Raised(error):
            return not isinstance(error, TaskError) or error.retryable
        case Stopped(cause):
            return cause.hands_back
        case Returned() | NotOffered() | BadPayload() | Broken():
            return False
        case _:
            assert_never(ending)


def reply_to(ending: Ending, *, task: TaskRef, attempt: int, agent: AgentRef, at: AwareDatetime) -> Outcome:
    """Return what the operator is told about an attempt that ended so at ``at``."""

    def handed_back(cause: InterruptionCause, stopped: Stopped) -> Interrupted:
        return Interrupted(
            task=task,
            attempt=attempt,
            agent=agent,
            at=at,
            cause=cause,
            begun=stopped.begun,
            message=stopped.reason,
        )

    def failed(code: str, message: str, *, retryable: bool) -> Failed:
        return Failed(
            task=task,
            attempt=attempt,
            agent=agent,
            at=at,
            # The author of an error may have given it a code of any type, or never called its base.
            code=readable(str(code))[:CODE_CHARACTERS],
            message=readable(message)[:MESSAGE_CHARACTERS],
            retryable=retryable,
        )

    match ending:
        case Returned(value):
            try:
                result, size = as_json(value)
            except ValueError as error:
                return failed("InvalidResult", f"the result has no form in JSON: {error}", retryable=False)
            if size > RESULT_BYTES:
                message = f"the result is {size} bytes as JSON; {RESULT_BYTES} are allowed"
                return failed("ResultTooLarge", message, retryable=False)
            return Succeeded(task=task, attempt=attempt, agent=agent, at=at, result=result)
        case Raised(TaskError() as error):
            code = error.code or type(error).__name__
            return failed(code, text_of(error), retryable=bool(error.retryable))
        case Raised(error):
            return failed(type(error).__name__, text_of(error), retryable=True)
        case NotOffered(action, offered):
            message = f"this agent has no action {action!r}; it offers {', '.join(sorted(offered)) or 'none'}"
            return failed("UnknownAction", message, retryable=False)
        case BadPayload(problems):
            return failed("InvalidPayload", problems, retryable=False)
        case Broken(error):
            message = f"the agent went wrong: {type(error).__name__}: {text_of(error)}"
            return failed(INTERNAL_ERROR, message, retryable=True)
        case Stopped(cause, reason):
            match cause:
                case StopCause.CANCELLED:
                    return Cancelled(task=task, attempt=attempt, agent=agent, at=at)
                case StopCause.DEADLINE:
                    return failed("DeadlineExceeded", reason, retryable=False)
                case StopCause.SHUTDOWN:
                    return handed_back(InterruptionCause.SHUTDOWN, ending)
                case StopCause.SUSPENDED:
                    return handed_back(InterruptionCause.SUSPENDED, ending)
                case StopCause.REDELIVERED:
                    return handed_back(InterruptionCause.REDELIVERED, ending)
                case _:
                    assert_never(cause)
        case _:
            assert_never(ending)


def as_json(value: Any) -> tuple[Any, int]:
    """Return a result as JSON types, models by alias, and its size in bytes as compact JSON.

    :raises ValueError: it has no form in JSON: an unknown type, NaN, a cycle, half a surrogate pair; or one
        that is nested too deep for the reader of a reply, or holds an integer that Kubernetes would round.
    """
    try:
        plain = pydantic_core.to_jsonable_python(value, by_alias=True)
        text = json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        if _LONG_NUMBER.search(text):
            json.loads(text, parse_int=_kept)
        pydantic_core.from_json("[" * ENVELOPE_LEVELS + text + "]" * ENVELOPE_LEVELS)
        return plain, len(text.encode())
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _kept(number: str) -> int:
    """Return an integer that Kubernetes keeps. :raises ValueError: it would make it a float."""
    if not -(2**63) <= (found := int(number)) < 2**63:
        raise ValueError(f"{number[:40]} is no integer of 64 bits; write it as a text")
    return found


def text_of(error: BaseException) -> str:
    """Return an exception's text; its class's name where it has none, or its author's ``__str__`` fails.

    That of a group says what is in it.
    """
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(f"{type(each).__name__}: {text_of(each)}" for each in _leaves(error))
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001
        return type(error).__name__


def readable(text: str) -> str:
    """Return the text with what UTF-8 cannot carry escaped; an exception's text may hold raw bytes."""
    return text.encode("utf-8", "backslashreplace").decode()
