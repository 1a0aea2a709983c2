"""What was announced to the agent: whether it is paused, and what it knows."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from harebell_bus.envelopes import Announcement, Standing

from .errors import SettingsError
from .threads import in_thread

logger = logging.getLogger(__name__)

AnnouncementHandler: TypeAlias = Callable[[Announcement], Any]


def check_handler(handler: AnnouncementHandler) -> AnnouncementHandler:
    """Return the handler. :raises SettingsError: it cannot be called with one announcement."""
    try:
        inspect.signature(handler).bind(None)
    except (TypeError, ValueError):
        raise SettingsError("on_announcement: the function must take (announcement)") from None
    return handler


class Announcements:
    """Outlives connections: an agent that was paused stays so until it is told otherwise."""

    def __init__(self, handler: AnnouncementHandler | None = None) -> None:
        self._handler = handler
        self._known: tuple[str, ...] = ()
        self._running: set[asyncio.Task[None]] = set()
        self.paused = asyncio.Event()
        """Set while no new work is to be taken."""
        self.released = asyncio.Event()
        """Set while work may be taken."""
        self.released.set()

    @property
    def acknowledged(self) -> tuple[str, ...]:
        """UIDs of the announcements in force that this process was told of."""
        return self._known

    def pause(self, paused: bool) -> bool:
        """Be paused, or not; return whether that is a change."""
        if paused == self.paused.is_set():
            return False
        if paused:
            logger.info("paused: what is in hand is finished, nothing new is taken")
            self.released.clear()
            self.paused.set()
        else:
            logger.info("no longer paused: work is taken again")
            self.paused.clear()
            self.released.set()
        return True

    def take(self, standing: Standing) -> None:
        """Keep to what was told, and hand what is new to the handler."""
        # First of all: what the handler does must not come between a Pause and keeping to it.
        self.pause(standing.paused)
        new = [a for a in standing.announcements if a.uid not in self._known]
        told = {*self._known, *(a.uid for a in new)}
        # In the operator's order, and without what is over, so that heartbeats do not grow.
        self._known = tuple(uid for uid in standing.in_force if uid in told)
        for announcement in new:
            logger.info("%s %s: %s", announcement.kind, announcement.name, announcement.message)
            if self._handler is not None:
                running = asyncio.create_task(self._hand(self._handler, announcement))
                self._running.add(running)
                running.add_done_callback(self._running.discard)

    async def _hand(self, handler: AnnouncementHandler, announcement: Announcement) -> None:
        """Call the handler; a plain function in a thread, so that it cannot hold up heartbeats."""
        try:
            if inspect.iscoroutinefunction(handler):
                await handler(announcement)
                return
            result = await in_thread(lambda: handler(announcement), name="on_announcement")
            if inspect.isawaitable(result):
                await result
        # SystemExit too: like an action, the handler must not be able to end the agent.
        except (Exception, SystemExit):
            logger.exception("on_announcement failed for %s %s", announcement.kind, announcement.name)
