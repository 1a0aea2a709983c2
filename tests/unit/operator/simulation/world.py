"""A Task, its operator, the API server, the broker and some agents, with everything that can go wrong.

The operator here does around the decision what :mod:`harebell_operator.tasks` does: it publishes before it
writes, acknowledges replies when their effect is written, and has a memory that a restart loses.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from harebell_crds.task import CancelMode, OnInterruption, Priority, TaskSpec, TaskStatus
from harebell_operator.decide.fencing import is_stale
from harebell_operator.decide.lanes import MessageNumber, newest_message
from harebell_operator.decide.observation import (
    Report,
    Sighting,
    StopOrder,
    Supply,
    TaskDecision,
    TaskObservation,
)
from harebell_operator.decide.task import may_be_lost

from .fleet import Agent, Broker, Message
from .invariants import Rules

Decide = Callable[[TaskObservation, datetime], TaskDecision]

T0 = datetime(2026, 1, 1, tzinfo=UTC)
RETRY = timedelta(seconds=2)
ORDERLY_ROUNDS = 300


class World:
    """See the module. Everything random in it comes from ``rng``."""

    def __init__(self, rng: random.Random, decide: Decide) -> None:
        self.rng = rng
        self.decide = decide
        self.now = T0
        self.spec = TaskSpec(
            agent_type="t",
            action="a",
            retry_policy={
                "maxRetries": rng.randrange(4),
                "backoff": {"initialSeconds": rng.choice((0, 1, 5)), "maxSeconds": rng.choice((5, 300))},
            },
            on_interruption=rng.choice(tuple(OnInterruption)),
            queue_deadline_seconds=rng.choice((None, None, 60, 600)),
            active_deadline_seconds=rng.choice((None, None, 60, 600)),
            ttl_seconds_after_finished=rng.choice((0, 100)),
        )
        self.generation = 1
        self.stored = TaskStatus()
        """What the API server has."""
        self.deleted = False
        self.broker = Broker()
        serial = count(1)
        self.agents = [Agent(f"agent-{n}", self.broker, serial) for n in range(3)]
        self.attempts_published = 0
        self.life = 0
        self.calm = False
        self.rules = Rules()
        self._begin()

    def _begin(self) -> None:
        """Start an operator: it knows the resource and nothing else."""
        self.life += 1
        self.status = self.written = self.stored
        self.inbox: list[Report] = []
        self.unacknowledged: list[Report] = []
        known = self.written.observed_generation == self.generation
        self.queued_as: Priority | None = self.spec.priority if known else None
        self.published_at = self.written.queued_at
        self.cancel_sent: tuple[int, datetime] | None = None
        self.seen: dict[str, Sighting] = {}
        self.unseen_since: dict[str, datetime] = {}
        self.heard_until: datetime | None = None
        self.listening = False
        self.message_lost = False
        self.known_down = not self.broker.up
        self.due: datetime | None = self.now
        self.rules.begun(self.stored)

    # ---- the operator --------------------------------------------------------------------------------

    def restart(self) -> None:
        """End the operator and start another; the broker delivers again what was not acknowledged."""
        self.broker.replies += self.unacknowledged + self.inbox
        self.rng.shuffle(self.broker.replies)
        self._begin()

    def soon(self) -> None:
        """Have the Task looked at."""
        self.later(self.now)

    def later(self, when: datetime) -> None:
        self.due = when if self.due is None else min(self.due, when)

    def observe(self) -> TaskObservation:
        sent = self.cancel_sent
        supply = self.supply()
        asked = self.broker.up and may_be_lost(self.status, supply, self.published_at, self.now)
        return TaskObservation(
            uid="uid",
            generation=self.generation,
            created_at=T0,
            spec=self.spec,
            status=self.status,
            replies=tuple(self.inbox),
            sighting=self.seen.get(self.status.agent_instance or "", Sighting.UNKNOWN),
            supply=supply,
            broker_error="down" if self.known_down else None,
            published_at=self.published_at,
            queued_as=self.queued_as,
            messages_waiting=len(self.broker.work) if asked else None,
            message_lost=self.message_lost,
            payload_problem=None,
            cancel_sent_at=sent[1] if sent and sent[0] == self.status.attempt else None,
            heard_until=self.heard_until,
            unseen_since=self.unseen_since.get(self.status.agent_instance or ""),
        )

    def supply(self) -> Supply:
        online = [a for a in self.agents if a.reachable]
        return Supply(len(online), sum(not a.running for a in online))

    def work(self, *, crash: bool = False, conflict: bool = False) -> None:
        """Take one step. ``crash``: it ends after publishing; ``conflict``: the status is not written."""
        self.due = None
        observation = self.observe()
        decision = self._decided(observation)
        if not self._send(decision):
            if decision.dead_letter:
                self.later(self.now + RETRY)
                return
            observation = replace(observation, broker_error="down", messages_waiting=None)
            decision = self._decided(observation)
        if crash:
            self.restart()
            return
        self.status = decision.status
        self.unacknowledged += self.inbox
        self.inbox = []
        self.listening |= decision.hear_out
        for order in decision.stop:
            self._tell_to_stop(order)
            self.cancel_sent = (order.attempt, self.now)
        if conflict or not self._write():
            self.later(self.now + RETRY)
            if conflict:
                return
        if decision.delete:
            self.deleted = True
        elif decision.wake_at is not None:
            self.later(decision.wake_at)

    def _decided(self, observation: TaskObservation) -> TaskDecision:
        decision = self.decide(observation, self.now)
        own = [m.number for m in self.broker.work if m.life == self.life]
        self.rules.decided(observation, decision, self.now, own)
        self.rules.heard_out(observation, decision, self.broker.kept())
        return decision

    def _send(self, decision: TaskDecision) -> bool:
        wanted = decision.publish or decision.dead_letter or decision.supersede is not None
        if not self.broker.up or self.known_down:
            return not wanted
        if decision.supersede is not None:
            for agent in self.agents:
                if agent.reachable:
                    agent.newest = decision.supersede
        if decision.dead_letter:
            self.broker.dead_letters += 1
        elif decision.publish:
            number = MessageNumber(decision.status.attempt, decision.status.dispatch)
            self.broker.work.append(Message(number, self.spec.priority, self.life))
            self.queued_as, self.published_at = self.spec.priority, self.now
            self.message_lost = False
            self.attempts_published = max(self.attempts_published, number.attempt)
        return True

    def _tell_to_stop(self, order: StopOrder) -> None:
        # Orders are not confirmed: one to an agent that is away is lost, and so is another now and then.
        if not self.calm and self.rng.random() < 0.2:
            return
        for agent in self.agents:
            if agent.id == order.agent_id and agent.reachable and order.attempt in agent.running:
                agent.stopping.add(order.attempt)

    def _write(self) -> bool:
        """Write the status if it is due, then acknowledge what it holds the effects of."""
        if self.status != self.written:
            final = self.status.phase is not None and self.status.phase.terminal
            if not final and self.rng.random() < 0.5:
                return False
            self.rules.wrote(self.written, self.status)
            self.written = self.status
            self.stored = TaskStatus.model_validate(self.status.to_wire())
        self.unacknowledged = []
        return True

    # ---- what the operator gets to know --------------------------------------------------------------

    def deliver(self) -> None:
        """Bring some of the replies, in any order."""
        if not self.broker.up or self.known_down or not self.broker.replies:
            return
        self.rng.shuffle(self.broker.replies)
        some = self.rng.randint(1, len(self.broker.replies))
        self._deliver(some)

    def _deliver(self, some: int) -> None:
        self.inbox += self.broker.replies[:some]
        del self.broker.replies[:some]
        self.soon()

    def hear_out(self) -> None:
        """Find that no reply waits, if anything depends on it and none does."""
        if self.listening and self.broker.up and not self.known_down and not self.broker.replies:
            self.listening, self.heard_until = False, self.now
            self.soon()

    def lose_the_broker(self, *, known: bool) -> None:
        """Have the broker go; the operator may not know of it yet."""
        self.broker.up, self.known_down = False, known
        self.heard_until = None

    def hear_of(self, agent: Agent) -> None:
        """Have a heartbeat arrive, which names all attempts; what is stale is stopped."""
        if not agent.reachable or self.known_down:
            return
        owner = self.status.agent_instance
        if owner is not None and self.status.agent_name == agent.id:
            if owner != agent.instance:
                self._see(owner, Sighting.GONE)
            else:
                working = self.status.attempt in agent.running
                self._see(owner, Sighting.WORKING if working else Sighting.FORGOT)
        for attempt in sorted(agent.running):
            if why := is_stale(self.status, attempt, agent.ref, self.now):
                self._tell_to_stop(StopOrder(agent.id, attempt, CancelMode.IMMEDIATE, why))

    def miss(self, agent: Agent) -> None:
        """Have the window pass in which an agent should have been heard of."""
        self._see(agent.instance, Sighting.GONE)

    def _see(self, instance: str, sighting: Sighting) -> None:
        if self.seen.get(instance) != sighting:
            self.seen[instance] = sighting
            if sighting is Sighting.WORKING:
                self.unseen_since.pop(instance, None)
            else:
                self.unseen_since.setdefault(instance, self.now)
            self.soon()

    # ---- order ---------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Stop interfering: everything is delivered, agents work and heed orders. The Task must finish.

        :raises AssertionError: it does not.
        """
        self.calm = True
        self.broker.up, self.known_down = True, False
        self.soon()
        if self.spec.suspend:
            self.spec = self.spec.model_copy(update={"suspend": False})
            self.generation += 1
        for agent in self.agents:
            agent.connect(newest_message(self.status))
        for _ in range(ORDERLY_ROUNDS):
            if self.deleted:
                return
            if not self._orderly_round():
                assert self.due is not None, f"nothing will ever be done about {self.status}"
                self.now = max(self.now, self.due)
        raise AssertionError(f"no progress: {self.status}")

    def _orderly_round(self) -> bool:
        """Do what can be done without waiting; return whether that was anything."""
        if self.broker.replies:
            self._deliver(len(self.broker.replies))
        self.hear_out()
        if self.due is not None and self.due <= self.now:
            self.work()
            return True
        busy = False
        for agent in self.agents:
            for attempt in sorted(agent.running):
                if attempt in agent.stopping:
                    agent.end(attempt, "cancelled", self.now)
                    busy = True
                elif self.spec.cancel is None and attempt == self.status.attempt:
                    agent.end(attempt, "succeeded", self.now)
                    busy = True
                # Otherwise it works on until it is told to stop.
            if not agent.running and self.broker.work:
                agent.take(self.broker.work[0], self.now)
                busy = True
        before = self._heard()
        if not busy:
            for agent in self.agents:
                self.hear_of(agent)
        return busy or self._heard() != before

    def _heard(self) -> tuple[dict[str, Sighting], int]:
        return dict(self.seen), sum(len(a.stopping) for a in self.agents)
