"""Log lines as JSON objects, one a line, on standard output."""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from harebell_bus.envelopes import TaskRef

_current: ContextVar[Mapping[str, str | int] | None] = ContextVar("attempt", default=None)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+(?=@)")


@contextmanager
def about(task: TaskRef, attempt: int) -> Iterator[None]:
    """Have every line logged inside, in this coroutine or threads it starts, name the attempt."""
    token = _current.set({"task": f"{task.namespace}/{task.name}", "uid": task.uid, "attempt": attempt})
    try:
        yield
    finally:
        _current.reset(token)


class JsonFormatter(logging.Formatter):
    """time, level, logger, message; task, uid and attempt inside :func:`about`; error for an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, str | int] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": without_credentials(record.getMessage()),
            **(_current.get() or {}),
        }
        if record.exc_info:
            line["error"] = without_credentials(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True)


def without_credentials(text: str) -> str:
    """Return the text with user and password of any URL hidden."""
    return _CREDENTIALS.sub("***", text)


def configure(level: str) -> None:
    """Send everything logged at ``level`` or above to standard output, as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # The AMQP client logs every frame at DEBUG, and every failure that the link reports, too.
    for name in ("aiormq", "aio_pika"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.captureWarnings(True)
