"""Log lines and the end of a process."""

import asyncio
import json
import logging
import os
import signal

import pytest

from harebell_bus.process import JsonFormatter, until_told


class Annotated(JsonFormatter):
    def context(self) -> dict[str, str | int]:
        return {"task": "count-words"}


def record(error: Exception | None = None) -> logging.LogRecord:
    about = (type(error), error, None) if error else None
    return logging.LogRecord(
        "some.part", logging.WARNING, __file__, 1, "two\nlines of %s", ("amqps://me:hunter2@rabbit/v",), about
    )


def test_a_line_is_one_object() -> None:
    line = JsonFormatter().format(record())
    assert "\n" not in line
    said = json.loads(line)
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "level": "WARNING",
        "logger": "some.part",
        "message": "two\nlines of amqps://***@rabbit/v",
    }


def test_a_line_says_what_it_is_about_and_what_went_wrong() -> None:
    said = json.loads(Annotated().format(record(OSError("amqp://me:hunter2@rabbit is away"))))
    assert said["task"] == "count-words"
    assert said["error"] == "OSError: amqp://***@rabbit is away"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_ends_when_the_process_is_told(number: signal.Signals) -> None:
    ended = []

    async def work() -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(until_told(work()))
    assert ended == [number]
