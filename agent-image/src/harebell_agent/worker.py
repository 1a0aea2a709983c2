"""From a claimed message to a confirmed outcome.

:meth:`Worker.take` lives on one connection: the message is acknowledged only when the broker confirmed that
the attempt started. What follows lives on none: the action goes on when the connection is lost, and its
outcome is published when there is one again.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from harebell_bus.codec import decode_work, encode
from harebell_bus.envelopes import AgentRef, Checkpointed, Failed, Progressed, Started, TaskRef, Work
from harebell_bus.errors import BusError, UnreadableMessageError
from harebell_bus.topology import ATTEMPT_HEADER, TASK_NAME_HEADER, TASK_NAMESPACE_HEADER

from . import logs
from .action import Action, InvalidPayloadError, arguments
from .checkpoints import Checkpoint, Checkpoints
from .context import Context
from .delivery import Acknowledged, Delivery, Permit
from .inflight import Attempt, InFlight
from .invoke import Run, invoke
from .metrics import UNKNOWN_ACTION, Metrics
from .outcome import (
    INTERNAL_ERROR,
    MESSAGE_CHARACTERS,
    BadPayload,
    Broken,
    Ending,
    NotOffered,
    Outcome,
    Raised,
    StopCause,
    Stopped,
    may_go_on,
    readable,
    reply_to,
    text_of,
)
from .progress import Progress, Report
from .replies import Replies
from .vouching import Vouching

logger = logging.getLogger(__name__)


class Worker:
    """Works on what is claimed."""

    def __init__(
        self,
        agent: AgentRef,
        actions: Mapping[str, Action],
        replies: Replies,
        inflight: InFlight,
        vouching: Vouching,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._agent = agent
        self._actions = actions
        self._replies = replies
        self._inflight = inflight
        self._vouching = vouching
        self._metrics = metrics
        self._now = now
        self._running: set[asyncio.Task[None]] = set()
        self.leftovers = 0
        """Actions that were given up and still run."""

    async def take(self, message: Delivery, permit: Permit) -> None:
        """Begin what the message asks for, and take the permit if there is something to do.

        :raises BusError: what had to be published was not confirmed; the message is given back.
        """
        try:
            told = await self._tell_first(message)
            if told:
                message = Acknowledged(message)
            try:
                await self._look_into(message, permit, told=told)
            except BusError:
                raise
            except Exception as error:
                # Of this message alone: the next may well be worked on.
                logger.exception("what is wrong with this message was not foreseen")
                if not permit.taken:
                    await self._give_up(message, error, told=told)
        except BusError:
            # Given back rather than lost with the channel, which would count towards the delivery limit.
            await _settle(message.nack(requeue=True))
            raise

    async def _look_into(self, message: Delivery, permit: Permit, *, told: bool) -> None:
        try:
            work = decode_work(message.body)
        except UnreadableMessageError as error:
            await self._refuse(message, str(error))
            return
        with logs.about(work.task, work.attempt):
            await self._begin(work, message, permit, told=told)

    async def _tell_first(self, message: Delivery) -> bool:
        """Say of a message that came back that its attempt has started, and settle it, before anything looks
        into it.

        Whoever had it may have died of it. Should this process do so as well, the attempt is lost and
        counts; the broker would give the message to one agent after the other, and a classic queue for ever.
        What the action declares is said in a second Started, once it is known. Returns whether it was said.
        """
        about = addressed(message.correlation_id, message.headers) if message.redelivered else None
        if about is None:
            return False
        task, attempt = about
        await self._replies.send(
            Started(task=task, attempt=attempt, agent=self._agent, at=self._now(), begun=False)
        )
        await _settle(message.ack())
        return True

    async def _begin(self, work: Work, message: Delivery, permit: Permit, *, told: bool) -> None:
        # Told of already, it must be begun, or the attempt is lost; then its first message begun has it.
        if not told and self._inflight.is_superseded(work):
            logger.info("superseded by a later message; dropped")
            self._metrics.superseded.inc()
            await _settle(message.ack())
            return
        attempt = self._inflight.add(work)
        if attempt is None:
            logger.info("delivered again while it is worked on or done; dropped")
            await _settle(message.ack())
            return
        self._metrics.current.set(len(self._inflight))
        started = False
        try:
            word = self._started(work)
            if not told:
                await self._replies.send(word)
            started = True
            # If the acknowledgement is lost, somebody gets the message again; the operator, who has our
            # Started, tells them to stop.
            await _settle(message.ack())
        finally:
            if started:
                permit.taken = True
                running = asyncio.create_task(
                    self._work(attempt, permit, word, told=told), name=f"attempt {work.task.uid}"
                )
                self._running.add(running)
                running.add_done_callback(self._running.discard)
            else:
                self._inflight.drop(attempt)
                self._metrics.current.set(len(self._inflight))

    def _started(self, work: Work) -> Started:
        """Return the word that the action begins, and what it declares; an unknown one does nothing."""
        action = self._actions.get(work.action)
        return Started(
            task=work.task,
            attempt=work.attempt,
            agent=self._agent,
            at=self._now(),
            resumable=action is not None and action.resumable,
            idempotent=action is None or action.may_be_repeated(work.payload),
            asks=action is not None and self._vouching.needed(work),
        )

    async def _work(self, attempt: Attempt, permit: Permit, word: Started, *, told: bool) -> None:
        work = attempt.work
        try:
            begun = time.monotonic()
            logger.info("started %s", work.action)
            try:
                run = await self._run(attempt, word, told=told)
            except Exception as error:
                logger.exception("the agent went wrong")
                run = Run(Broken(error))
            seconds = time.monotonic() - begun
            outcome = self._outcome(work, run.ending)
            label = work.action if work.action in self._actions else UNKNOWN_ACTION
            self._metrics.tasks.labels(label, outcome.kind).inc()
            self._metrics.seconds.labels(label).observe(seconds)
            detail = f": {outcome.code}: {outcome.message}" if isinstance(outcome, Failed) else ""
            logger.info("%s after %.3f s%s", outcome.kind, seconds, detail)
            await self._replies.deliver(outcome)
            self._inflight.finish(attempt)
            self._metrics.current.set(len(self._inflight))
            if run.leftover is not None:
                await self._outlast(run.leftover)
        finally:
            permit.release()

    def _outcome(self, work: Work, ending: Ending) -> Outcome:
        """Return what is replied, which can be encoded: what cannot would be tried for ever."""

        def reply(ending: Ending) -> Outcome:
            return reply_to(ending, task=work.task, attempt=work.attempt, agent=self._agent, at=self._now())

        try:
            outcome = reply(ending)
            encode(outcome)
        except Exception as error:
            logger.exception("the outcome cannot be told")
            return reply(Broken(error))
        return outcome

    async def _run(self, attempt: Attempt, word: Started, *, told: bool) -> Run:
        work = attempt.work
        action = self._actions.get(work.action)
        if action is None:
            return Run(NotOffered(work.action, tuple(self._actions)))
        if told:
            if not (word.resumable or word.idempotent):
                # Whoever had the message may have begun, and only its acknowledgement been lost. Unless the
                # attempt is somebody's, the operator makes a new one.
                return Run(Stopped(StopCause.REDELIVERED, "the message came back", begun=False))
            await self._replies.deliver(word)
        if word.asks:
            await self._vouching.given(attempt)
            if (stopped := attempt.stop.stopped) is not None:
                return Run(replace(stopped, begun=False))
        try:
            taken = arguments(action, work.payload)
        except InvalidPayloadError as error:
            return Run(BadPayload(str(error)))
        except BaseException as error:
            # A validator is the action's author's code.
            logger.exception("the payload cannot be read")
            return Run(Raised(error))

        async def send(report: Report) -> None:
            await self._replies.send(
                Progressed(
                    task=work.task,
                    attempt=work.attempt,
                    agent=self._agent,
                    at=self._now(),
                    percent=report.percent,
                    message=report.message,
                )
            )

        async def save(checkpoint: Checkpoint) -> None:
            await self._replies.deliver(
                Checkpointed(
                    task=work.task,
                    attempt=work.attempt,
                    agent=self._agent,
                    at=checkpoint.at,
                    data=checkpoint.data,
                )
            )

        progress, checkpoints = Progress(send), Checkpoints(save, now=self._now)
        reporting = asyncio.create_task(progress.run())
        saving = asyncio.create_task(checkpoints.run())
        context = Context(
            task=work.task,
            attempt=work.attempt,
            logger=logging.getLogger(f"harebell_agent.action.{action.name}"),
            cancelled=attempt.stop.signal,
            _progress=progress,
            _checkpoints=checkpoints,
            resume_from=work.checkpoint,
            inputs=MappingProxyType(work.inputs),
        )
        try:
            run = await invoke(action, context, taken, attempt.stop, work.active_deadline_seconds)
            if may_go_on(run.ending):
                await checkpoints.flush()
            return run
        finally:
            # Nothing after the end: progress that was not sent yet is old news.
            reporting.cancel()
            saving.cancel()

    async def _outlast(self, leftover: Awaitable[object]) -> None:
        """Wait for an action that was given up. Its slot stays taken: it still uses what a slot stands for,
        and an agent that piled up threads behind a hanging one would fall over instead."""
        self.leftovers += 1
        logger.warning("the action has not stopped; its slot is free when it does")
        try:
            await asyncio.wait({asyncio.ensure_future(leftover)})
            logger.info("the action has stopped")
        finally:
            self.leftovers -= 1

    async def _refuse(self, message: Delivery, reason: str) -> None:
        """Put an unreadable message among the dead letters, and fail the Task if it can be told which."""
        logger.error("unreadable work message: %s", reason)
        self._metrics.unreadable.inc()
        # Ours are texts and numbers; the broker's own, such as x-death, are not for publishing again.
        headers = {k: v for k, v in message.headers.items() if isinstance(v, str | int)}
        await self._replies.bury(
            message.body,
            reason,
            message_id=message.message_id or hashlib.sha256(message.body).hexdigest()[:32],
            correlation_id=message.correlation_id,
            headers=headers,
        )
        if (about := addressed(message.correlation_id, message.headers)) is not None:
            text = f"the agent cannot read the work message: {reason}"
            await self._fail(*about, "UnreadableMessage", text, retryable=False)
        await _settle(message.ack())

    async def _give_up(self, message: Delivery, error: Exception, *, told: bool) -> None:
        """Fail the Task of a message that the agent cannot take, though it may be in order."""
        about = addressed(message.correlation_id, message.headers)
        if about is None:
            await self._refuse(message, text_of(error))
            return
        text = f"the agent cannot take the work message: {text_of(error)}"
        # Of what came back nobody here knows whether it was begun before, and may be again.
        await self._fail(*about, INTERNAL_ERROR, text, retryable=not told)
        await _settle(message.ack())

    async def _fail(self, task: TaskRef, attempt: int, code: str, message: str, *, retryable: bool) -> None:
        """Say that an attempt failed before it was begun. :raises BusError: it was not confirmed."""
        await self._replies.send(
            Failed(
                task=task,
                attempt=attempt,
                agent=self._agent,
                at=self._now(),
                code=code,
                message=readable(message)[:MESSAGE_CHARACTERS],
                retryable=retryable,
            )
        )


def addressed(correlation_id: str | None, headers: Mapping[str, Any]) -> tuple[TaskRef, int] | None:
    """Return which attempt a message is about, from what is outside of its body; None if it is not said."""
    namespace, name, attempt = (
        headers.get(header) for header in (TASK_NAMESPACE_HEADER, TASK_NAME_HEADER, ATTEMPT_HEADER)
    )
    if not (correlation_id and isinstance(namespace, str) and isinstance(name, str)):
        return None
    # A bool is an int to Python.
    if not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 1:
        return None
    return TaskRef(namespace=namespace, name=name, uid=correlation_id), attempt


async def _settle(answer: Awaitable[None]) -> None:
    """Acknowledge or give back; where the channel is gone the broker has taken the message back by itself."""
    try:
        await answer
    except (AMQPError, ChannelInvalidStateError, OSError) as error:
        logger.info("the message was not settled, the channel is gone: %s", error)
