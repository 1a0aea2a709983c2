"""The object an agent is written around."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from .action import GRACE_SECONDS, Action, Handler, Idempotence, check_name, define
from .announcements import AnnouncementHandler, check_handler
from .errors import SettingsError

_H = TypeVar("_H", bound=Handler)
_N = TypeVar("_N", bound=AnnouncementHandler)


class Agent:
    """A set of actions, offered to the Tasks of one agent type.

    :param type: the agent type; ``HAREBELL_AGENT_TYPE`` and ``--type`` override it.
    :param version: of the agent's own software, shown in its Agent resource.
    """

    def __init__(self, type: str | None = None, version: str | None = None) -> None:
        self.type = type
        self.version = version
        self._actions: dict[str, Action] = {}
        self._announcement_handler: AnnouncementHandler | None = None

    @property
    def actions(self) -> Mapping[str, Action]:
        """The actions by name."""
        return MappingProxyType(self._actions)

    def action(
        self,
        name: str,
        *,
        grace_seconds: float = GRACE_SECONDS,
        cooperative: bool = False,
        resumable: bool = False,
        idempotent: Idempotence = True,
    ) -> Callable[[_H], _H]:
        """Offer the decorated function, which is returned unchanged, as an action.

        It takes ``(ctx)`` or ``(ctx, payload)``. The payload is validated as what its annotation says: a
        pydantic model, a dataclass, a TypedDict; ``dict`` or nothing passes it through. The result is None,
        a model, or anything else that has a form in JSON, at most 64 KiB. A plain function runs in a thread
        of its own.

        :param grace_seconds: how long the function may take to stop before it is no longer waited for.
        :param cooperative: do not cancel the coroutine when it should stop; it watches ``ctx.cancelled``
            itself, and is cancelled only when the grace period is over.
        :param resumable: the function saves checkpoints and goes on from ``ctx.resume_from``. When it is told
            to hand its work back, what it returns all the same counts as its result; one that has not
            finished raises :class:`harebell_agent.UnfinishedError`, or lets itself be cancelled.
        :param idempotent: the work may be done again from the beginning when the agent is lost, which is
            what happens by default. False: unless it is resumable, the Task then fails. A function of the
            payload, as it came and not validated, tells of each piece of work.
        :raises SettingsError: the function cannot be an action, or the name cannot be one or is taken.
        """
        check_name(name)

        def decorate(function: _H) -> _H:
            if name in self._actions:
                raise SettingsError(f"action {name!r} is defined twice")
            self._actions[name] = define(
                name,
                function,
                grace_seconds=grace_seconds,
                cooperative=cooperative,
                resumable=resumable,
                idempotent=idempotent,
            )
            return function

        return decorate

    @property
    def announcement_handler(self) -> AnnouncementHandler | None:
        """What is told of announcements."""
        return self._announcement_handler

    def on_announcement(self, function: _N) -> _N:
        """Have the decorated function, which is returned unchanged, called with each new announcement.

        It takes an :class:`harebell_agent.Announcement`. The agent keeps to a Pause by itself; this is for
        what only the agent's author can know to do. A plain function runs in a thread of its own. What it
        raises is logged, and nothing waits for it: an announcement counts as acknowledged when it arrived.

        :raises SettingsError: the function cannot take an announcement, or there is one already.
        """
        if self._announcement_handler is not None:
            raise SettingsError("on_announcement is defined twice")
        self._announcement_handler = check_handler(function)
        return function

    def run(self) -> None:
        """Run until told to stop, with settings from the environment. Returns when all is wound up.

        :raises SystemExit: 2 when the settings are wrong, 1 when the agent cannot go on.
        """
        from .main import run_agent

        run_agent(self)
