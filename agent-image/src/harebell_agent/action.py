"""An action: a function, what it takes, and how it is stopped."""

import inspect
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, get_type_hints

import pydantic_core
from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from .errors import SettingsError

logger = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
NAME = re.compile(r"[a-zA-Z]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?")
"""As ``spec.action`` of a Task may be; nobody could ask for another."""
NAME_CHARACTERS = 128

Handler = Callable[..., Any]
Idempotence = bool | Callable[[Mapping[str, Any]], bool]
"""Whether an action may be done again from the beginning, or what says so of a payload, as it came."""


class InvalidPayloadError(Exception):
    """The payload is not what the action takes. The text names fields and rules, never values."""


@dataclass(frozen=True)
class Action:
    """Something the agent can do."""

    name: str
    handler: Handler
    payload: TypeAdapter[Any] | None
    """What the payload is validated as; None when the handler takes none."""
    is_async: bool
    grace_seconds: float = GRACE_SECONDS
    """How long the handler may take to stop before it is no longer waited for."""
    cooperative: bool = False
    """The handler watches ``ctx.cancelled`` itself, and is cancelled only after the grace period."""
    resumable: bool = False
    """The handler goes on from ``ctx.resume_from``."""
    idempotent: Idempotence = True

    def may_be_repeated(self, payload: Mapping[str, Any]) -> bool:
        """Return whether work with this payload may be done again from the beginning."""
        if isinstance(self.idempotent, bool):
            return self.idempotent
        # The author's function. What nobody can say must not be done twice.
        try:
            said: object = self.idempotent(payload)
        except Exception:
            logger.exception("action %s does not say whether it is idempotent; taken as not", self.name)
            return False
        if not isinstance(said, bool):
            logger.error(
                "action %s says by a %s whether it is idempotent, not by True or False; taken as not",
                self.name, type(said).__name__,
            )  # fmt: skip
            return False
        return said


def check_name(name: object) -> None:
    """Check what is to be an action's name. :raises SettingsError: it cannot be one."""
    if callable(name):  # the decorator without its parentheses
        raise SettingsError('an action needs a name: write @agent.action("name")')
    if not isinstance(name, str) or len(name) > NAME_CHARACTERS or not NAME.fullmatch(name):
        raise SettingsError(
            f"{str(name)[:200]!r} cannot be an action's name: it must be at most {NAME_CHARACTERS} letters, "
            "digits, '-', '_' and '.', beginning with a letter and ending with a letter or digit"
        )


def define(
    name: str,
    handler: Handler,
    *,
    grace_seconds: float = GRACE_SECONDS,
    cooperative: bool = False,
    resumable: bool = False,
    idempotent: Idempotence = True,
) -> Action:
    """Read an action from a function of ``(ctx)`` or ``(ctx, payload)``.

    :raises SettingsError: the function cannot be an action; the text says why.
    """
    function = _function(handler)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise SettingsError(f"action {name!r}: a generator cannot be an action; return the result instead")
    parameters = list(inspect.signature(handler).parameters.values())
    taken = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if needed or not 1 <= len(taken) <= 2:
        raise SettingsError(f"action {name!r}: the function must take (ctx) or (ctx, payload)")
    if not isinstance(idempotent, bool) and (
        not callable(idempotent) or inspect.iscoroutinefunction(_function(idempotent))
    ):
        raise SettingsError(
            f"action {name!r}: idempotent must be True, False or a plain function of the payload"
        )
    payload = _payload_type(name, function, taken[1].name) if len(taken) == 2 else None
    return Action(
        name,
        handler,
        payload,
        inspect.iscoroutinefunction(function),
        grace_seconds,
        cooperative=cooperative,
        resumable=resumable,
        idempotent=idempotent,
    )


def _function(handler: Handler) -> Handler:
    """Return what is called in the end, with the annotations."""
    while isinstance(handler, partial):
        handler = handler.func
    return handler if inspect.isroutine(handler) else getattr(type(handler), "__call__", handler)  # noqa: B004


def _payload_type(name: str, function: Handler, parameter: str) -> TypeAdapter[Any]:
    try:
        annotation = get_type_hints(function, include_extras=True).get(parameter, dict[str, Any])
        return TypeAdapter(annotation)
    except (NameError, PydanticSchemaGenerationError) as error:
        raise SettingsError(
            f"action {name!r}: the type of {parameter!r} cannot be validated: {error}"
        ) from error


def arguments(action: Action, payload: dict[str, Any]) -> tuple[Any, ...]:
    """Return what the handler takes after the context.

    :raises InvalidPayloadError: the payload does not validate.
    """
    if action.payload is None:
        return ()
    try:
        # As JSON, because strict models accept a string for a date or an enum only there.
        return (action.payload.validate_json(pydantic_core.to_json(payload)),)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        shown = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'payload'}: {p['msg']}" for p in problems[:10])
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise InvalidPayloadError(shown + more) from None
