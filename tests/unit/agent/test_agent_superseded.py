"""Messages that another one took the place of."""

import pytest

from harebell_agent import Context
from harebell_agent import inflight as module
from harebell_agent.inflight import InFlight
from harebell_bus.envelopes import Newest, Started

from .support import TASK, Desk, until, work


def newest(attempt: int, dispatch: int, uid: str = TASK.uid) -> Newest:
    return Newest(uid=uid, attempt=attempt, dispatch=dispatch)


@pytest.mark.parametrize(
    ("attempt", "dispatch", "dropped"),
    [(1, 0, True), (1, 1, True), (1, 2, False), (1, 3, False), (2, 0, False)],
)
async def test_an_earlier_message_is_acknowledged_and_not_begun(
    attempt: int, dispatch: int, dropped: bool
) -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        """Nothing."""

    desk.inflight.supersede([newest(1, 1), newest(1, 2), newest(1, 1), newest(9, 9, "another")])
    message, permit = await desk.take(work(attempt=attempt, dispatch=dispatch))
    assert message.settled == "ack"
    assert permit.taken is not dropped
    assert bool(desk.broker.all(Started)) is not dropped
    counted = desk.metrics.registry.get_sample_value("harebell_agent_superseded_messages_total")
    assert counted == (1 if dropped else 0)
    if not dropped:
        await until(lambda: desk.released)


def test_what_was_told_longest_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUPERSEDED", 2)
    inflight = InFlight()
    inflight.supersede([newest(1, 1), newest(1, 1, "b"), newest(1, 1), newest(1, 1, "c")])
    assert inflight.is_superseded(work())
    assert not inflight.is_superseded(work(task=TASK.model_copy(update={"uid": "b"})))
