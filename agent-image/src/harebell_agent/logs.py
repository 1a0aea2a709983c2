"""Log lines that say which attempt they are about."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from harebell_bus import process
from harebell_bus.envelopes import TaskRef

_current: ContextVar[Mapping[str, str | int] | None] = ContextVar("attempt", default=None)


@contextmanager
def about(task: TaskRef, attempt: int) -> Iterator[None]:
    """Have every line logged inside, in this coroutine or threads it starts, name the attempt."""
    token = _current.set({"task": f"{task.namespace}/{task.name}", "uid": task.uid, "attempt": attempt})
    try:
        yield
    finally:
        _current.reset(token)


class JsonFormatter(process.JsonFormatter):
    """Adds task, uid and attempt inside :func:`about`."""

    def context(self) -> Mapping[str, str | int]:
        """Return what is being worked on."""
        return _current.get() or {}


def configure(level: str) -> None:
    """Send everything logged at ``level`` or above to standard output, as JSON."""
    # The AMQP client logs every frame at DEBUG, and every failure that the link reports, too.
    process.configure_logging(
        level, JsonFormatter(), {"aiormq": logging.CRITICAL, "aio_pika": logging.CRITICAL}
    )
