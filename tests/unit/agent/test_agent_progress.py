"""Few messages from many reports."""

import asyncio
import math
import threading

import pytest

from harebell_agent.progress import INTERVAL_SECONDS, Progress, Report, merged
from harebell_bus.errors import BrokerUnavailableError

from .support import until


class Clock:
    """Lets time pass when told to."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self._tick = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        self.waited.append(seconds)
        await self._tick.wait()
        self._tick.clear()

    def tick(self) -> None:
        self._tick.set()


async def test_the_first_goes_out_at_once_and_then_the_newest_of_each_interval() -> None:
    clock, sent = Clock(), list[Report]()

    async def send(report: Report) -> None:
        sent.append(report)

    progress = Progress(send, clock.pause)
    running = asyncio.create_task(progress.run())
    progress.report(1, "one")
    await until(lambda: sent == [Report(1, "one")])
    for percent in range(2, 100):
        progress.report(percent, None)
    await until(lambda: clock.waited == [INTERVAL_SECONDS])
    assert len(sent) == 1
    clock.tick()
    await until(lambda: sent[1:] == [Report(99, "one")])
    clock.tick()
    progress.report(99, "one")
    progress.report(100, "done")
    await until(lambda: sent[2:] == [Report(100, "done")])
    running.cancel()


async def test_reports_come_from_threads() -> None:
    sent = list[Report]()

    async def send(report: Report) -> None:
        sent.append(report)

    progress = Progress(send)
    running = asyncio.create_task(progress.run())
    threading.Thread(target=progress.report, args=(50, None)).start()
    await until(lambda: sent == [Report(50, None)])
    running.cancel()


@pytest.mark.parametrize("error", [BrokerUnavailableError("gone"), TypeError("unforeseen")])
async def test_a_report_that_cannot_be_sent_is_dropped(error: Exception) -> None:
    sent = list[Report]()
    failing = [error]

    async def pause(_: float) -> None:
        await asyncio.sleep(0)

    async def send(report: Report) -> None:
        if failing:
            raise failing.pop()
        sent.append(report)

    progress = Progress(send, pause)
    running = asyncio.create_task(progress.run())
    progress.report(1, None)
    await until(lambda: not failing)
    progress.report(2, None)
    await until(lambda: sent == [Report(2, None)])
    running.cancel()


@pytest.mark.parametrize(
    ("percent", "message", "becomes"),
    [
        (None, None, Report(10, "old")),
        (55.9, None, Report(55, "old")),
        (-3, "new", Report(0, "new")),
        (math.inf, "x" * 2000, Report(100, "x" * 1024)),
        (None, "raw \udcff", Report(10, "raw \\udcff")),
        (None, "\udcff" * 1024, Report(10, ("\\udcff" * 1024)[:1024])),
    ],
    ids=["nothing", "percent", "below", "above, long", "not UTF-8", "not UTF-8, long"],
)
def test_merged(percent: float | None, message: str | None, becomes: Report) -> None:
    assert merged(Report(10, "old"), percent, message) == becomes


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="percent"):
        merged(Report(), math.nan, None)
