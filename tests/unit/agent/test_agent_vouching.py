"""Work that an operator before the one that works now published."""

import pytest

from harebell_agent import Context
from harebell_agent.outcome import StopCause
from harebell_bus.codec import encode
from harebell_bus.envelopes import Cancelled, Started, Succeeded
from harebell_bus.topology import ATTEMPT_HEADER, TASK_NAME_HEADER, TASK_NAMESPACE_HEADER

from .support import TASK, Desk, Message, until, work

NOW, BEFORE = "the operator now", "the one before"


def diligent(desk: Desk) -> list[str]:
    """Offer an action that leaves a mark each time that it is begun."""
    begun: list[str] = []

    @desk.agent.action("act", idempotent=True)
    async def act(ctx: Context) -> None:
        begun.append(ctx.task.name)

    return begun


@pytest.mark.parametrize(
    ("known", "published_by", "needed"),
    [(NOW, NOW, False), (NOW, BEFORE, True), (NOW, "", True), (None, BEFORE, False), (None, "", False)],
)
def test_what_is_asked_about(known: str | None, published_by: str, needed: bool) -> None:
    desk = Desk()
    desk.vouching.hear_from(known)
    assert desk.vouching.needed(work(operator=published_by)) is needed


async def test_it_begins_when_the_operator_says_so_and_not_before() -> None:
    desk = Desk()
    begun = diligent(desk)
    desk.vouching.hear_from(NOW)
    message, _ = await desk.take(work(operator=BEFORE))
    assert message.settled == "ack"
    assert [s.asks for s in desk.broker.all(Started)] == [True]
    desk.vouching.proceed(TASK, 2)
    with pytest.raises(TimeoutError):
        await until(lambda: begun, 0.05)
    desk.vouching.proceed(TASK, 1)
    await until(lambda: desk.broker.all(Succeeded))
    assert begun == [TASK.name]


async def test_what_is_called_off_is_not_begun() -> None:
    desk = Desk()
    begun = diligent(desk)
    desk.vouching.hear_from(NOW)
    await desk.take(work(operator=BEFORE))
    attempt = desk.inflight.find(TASK.uid, 1)
    assert attempt
    attempt.stop.request(StopCause.CANCELLED, "the Task was deleted", immediate=True)
    await until(lambda: desk.broker.all(Cancelled))
    assert not begun
    assert desk.released == 1


async def test_without_an_answer_it_begins_and_what_follows_waits_no_more() -> None:
    desk = Desk(answer_seconds=0.05)
    begun = diligent(desk)
    desk.vouching.hear_from(NOW)
    await desk.take(work(operator=BEFORE))
    await until(lambda: desk.broker.all(Succeeded))
    desk.vouching.answer_seconds = 3600
    await desk.take(work(operator=BEFORE, attempt=2))
    await until(lambda: len(begun) == 2)
    # It has been heard again.
    desk.vouching.hear_from(NOW)
    await desk.take(work(operator=BEFORE, attempt=3))
    with pytest.raises(TimeoutError):
        await until(lambda: len(begun) == 3, 0.05)


async def test_a_message_that_came_back_is_asked_about_before_its_action_begins() -> None:
    desk = Desk()
    begun = diligent(desk)
    desk.vouching.hear_from(NOW)
    sent = work(operator=BEFORE)
    headers = {TASK_NAMESPACE_HEADER: TASK.namespace, TASK_NAME_HEADER: TASK.name, ATTEMPT_HEADER: 1}
    await desk.take(Message(encode(sent), headers, redelivered=True))
    await until(lambda: len(desk.broker.all(Started)) == 2)
    assert [(s.begun, s.asks) for s in desk.broker.all(Started)] == [(False, False), (True, True)]
    assert not begun
    desk.vouching.proceed(TASK, 1)
    await until(lambda: begun)
