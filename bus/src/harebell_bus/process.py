"""What processes that speak AMQP have in common: log lines as JSON, and an end when they are told."""

import asyncio
import json
import logging
import re
import signal
import sys
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+(?=@)")


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, what :meth:`context` adds, and error for an exception.

    User and password of any URL are hidden.
    """

    def context(self) -> Mapping[str, str | int]:
        """Return what else a line says just now."""
        return {}

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, str | int] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _without_credentials(record.getMessage()),
            **self.context(),
        }
        if record.exc_info:
            line["error"] = _without_credentials(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True)


def _without_credentials(text: str) -> str:
    return _CREDENTIALS.sub("***", text)


def configure_logging(level: str, formatter: logging.Formatter, quiet: Mapping[str, int]) -> None:
    """Log one object a line to standard output; ``quiet`` has higher levels for loggers by their names."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, least in quiet.items():
        logging.getLogger(name).setLevel(least)
    logging.captureWarnings(True)


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Do ``work``, and cancel it at SIGTERM or SIGINT.

    :raises asyncio.CancelledError: it was told to stop.
    """
    running = asyncio.current_task()
    if running is None:
        raise RuntimeError("not in a task")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    await work
