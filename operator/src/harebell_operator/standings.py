"""Tells agents what holds for them, and hears from their heartbeats what they keep to.

The operator alone decides whether an agent is paused. What it wants is compared with every heartbeat, so a
message that was lost, an agent that restarted and an operator that restarted are all the same case.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

from harebell_bus import envelopes
from harebell_bus.envelopes import Heartbeat, HeartbeatReason, Standing
from harebell_bus.errors import BusError
from harebell_bus.topology import COMMANDS_EXCHANGE, command_key
from harebell_crds.model import utc

from .broker import Broker
from .decide.standing import (
    Announced,
    Drain,
    Holding,
    Listener,
    Order,
    Position,
    holding,
    in_force,
    is_expired,
    is_switch,
    must_tell,
    selects,
    superseded_by,
)
from .store import AgentEntry, AnnouncementEntry, Store
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

REVIEW_SECONDS = 0.2
"""Agents acknowledge in bursts; an Announcement is looked at once for all that came within this time."""
BATCH = 100
"""Announcements in one message, which at their longest stay far below what the broker takes. The rest
follows when these are acknowledged."""


class Standings:
    """What is announced, to whom."""

    def __init__(
        self, store: Store, queue: WorkQueue[str], broker: Broker, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._queue = queue
        self._broker = broker
        self._clock = clock
        self._standing: tuple[Announced, ...] | None = None
        self._until: datetime | None = None

    # ---- what holds ------------------------------------------------------------------------------------

    def invalidate(self) -> None:
        """Take in that an Announcement came, went or changed."""
        self._standing = None

    def superseded_by(self, entry: AnnouncementEntry) -> str | None:
        """Return what ended an Announcement's effect, or None."""
        if not is_switch(entry.spec.kind):
            return None
        # Not only by what is in force: a Resume stays the end of a Pause when a later Pause supersedes both.
        now = self._clock()
        unexpired = [
            e.announced
            for e in self._store.announcements.values()
            if is_switch(e.spec.kind) and not is_expired(e.spec, now)
        ]
        other = superseded_by(entry.announced, unexpired)
        return f"{other.spec.kind} {other.name}" if other else None

    def is_for(self, entry: AnnouncementEntry, agent: AgentEntry) -> bool:
        """Return whether an Announcement's selector means an agent."""
        return selects(entry.spec.agent_selector, _listener(agent))

    def of(self, agent: AgentEntry) -> Holding:
        """Return what holds for an agent now."""
        now = self._clock()
        if self._standing is None or (self._until is not None and now >= self._until):
            announced = [e.announced for e in self._store.announcements.values()]
            self._standing = in_force(announced, now)
            ends = [a.spec.expires_at for a in announced if a.spec.expires_at and now < a.spec.expires_at]
            self._until = min(ends, default=None)
        held = holding(self._standing, _listener(agent)) if self._standing else _NOTHING
        pod = self._store.pod_of(agent)
        if pod is not None and pod.drain is not None:
            held = held.drained(pod.drain)
        return held.ordered(agent.order) if agent.order is not None else held

    # ---- what agents say and are told --------------------------------------------------------------------

    def heard(self, agent: AgentEntry, beat: Heartbeat) -> None:
        """Take in what an agent acknowledges, and tell it what it does not keep to."""
        known = frozenset(beat.acknowledged)
        for uid, entry in self._store.announcements.items():
            if uid in known:
                if agent.name not in entry.acknowledged:
                    entry.acknowledged[agent.name] = self._clock()
                    self._queue.add_after(uid, REVIEW_SECONDS)
            elif entry.acknowledged.pop(agent.name, None) is not None:
                # A process that started anew has to be told anew.
                self._queue.add_after(uid, REVIEW_SECONDS)
        if beat.reason == HeartbeatReason.REGISTERED:
            # On a new connection: what was sent over the old one may be lost.
            agent.told = None
        self.tell(agent)

    def tell(self, agent: AgentEntry) -> None:
        """Tell an agent what holds for it, if it may not know."""
        beat, now = agent.heartbeat, self._clock()
        if beat is None or agent.gone is not None:
            return
        wanted = self.of(agent).position
        said = Position(beat.paused, frozenset(beat.acknowledged))
        if must_tell(said, wanted, agent.told, now):
            agent.told = (wanted, now)
            self._broker.spawn(self._send(agent, beat))

    def review(self) -> None:
        """Have every Announcement looked at soon: agents came, went or changed."""
        for uid in self._store.announcements:
            self._queue.add_after(uid, REVIEW_SECONDS)

    async def _send(self, agent: AgentEntry, beat: Heartbeat) -> None:
        # Made only now, with nothing awaited before it is on its way: so messages arrive in the order in
        # which they became true.
        held = self.of(agent)
        known = frozenset(beat.acknowledged)
        held_here = [_of_drain(held.drain)] if held.drain else []
        held_here += [_of_order(held.order)] if held.order else []
        held_here += [_envelope(a) for a in held.announcements]
        standing = Standing(
            instance=beat.agent.instance,
            paused=bool(held.paused_by),
            in_force=held.in_force,
            announcements=tuple([a for a in held_here if a.uid not in known][:BATCH]),
        )
        try:
            await self._broker.publisher.publish(
                COMMANDS_EXCHANGE,
                standing,
                routing_key=command_key(beat.agent_type, agent.name),
                message_id=uuid4().hex,
                persistent=False,
            )
        except BusError as error:
            # Its next heartbeat is the next occasion.
            agent.told = None
            logger.info("agent %s was not told of announcements: %s", agent.name, error)


_NOTHING = Holding()


def _listener(agent: AgentEntry) -> Listener:
    return Listener(agent.name, agent.agent_type, agent.labels)


def _of_drain(drain: Drain) -> envelopes.Announcement:
    return envelopes.Announcement(
        uid=drain.uid,
        name=drain.pool,
        kind="Drain",
        message="the AgentPool removes this agent when it has finished what it does",
        issued_at=drain.since,
    )


def _of_order(order: Order) -> envelopes.Announcement:
    return envelopes.Announcement(
        uid=order.uid,
        name=order.agent,
        kind=order.kind.value,
        message=f"{order.source} keeps this agent from taking work",
        issued_at=order.since,
    )


def _envelope(announced: Announced) -> envelopes.Announcement:
    return envelopes.Announcement(
        uid=announced.uid,
        name=announced.name,
        kind=announced.spec.kind,
        message=announced.spec.message,
        issued_at=announced.created_at,
        expires_at=utc(expires) if (expires := announced.spec.expires_at) else None,
    )
