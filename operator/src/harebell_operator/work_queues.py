"""Which queues of an agent type are in use: those that its agents look into.

A lane is opened when the first message is to go into it, and its agents are told before that message is
published. Every lane that an agent looks into costs a question to the broker for each Task, so those that
nobody needs are left out. What a Queued Task waits in is in use whoever opened it, so a new leader tells
agents of every queue that holds work. Once in use, a lane stays so until another operator leads.
"""

from collections import defaultdict
from typing import Final

from harebell_bus.errors import BusError
from harebell_bus.lanes import Lane, Tier, lane_of, work_queue_names
from harebell_crds.task import DEFAULT_PERSISTENCE, Priority

from .broker import Broker
from .commands import send_work_queues
from .store import Store

USUAL: Final = lane_of(Priority.NORMAL, Tier(DEFAULT_PERSISTENCE[Priority.NORMAL].value))
"""In use from the beginning: agents need one, and this is where most Tasks go."""


class WorkQueues:
    """Opens lanes, and tells agents of them."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        self._opened: defaultdict[str, set[Lane]] = defaultdict(lambda: {USUAL})

    def names(self, agent_type: str) -> tuple[str, ...]:
        """Return the queues to look into, in order."""
        return work_queue_names(agent_type, self._in_use(agent_type))

    async def open(self, agent_type: str, lane: Lane) -> None:
        """Declare a lane, and have its agents look into it.

        :raises BusError: one of both is not possible now.
        """
        await self._broker.ensure_lane(agent_type, lane)
        opened = self._opened[agent_type]
        if lane in opened:
            return
        opened.add(lane)
        try:
            await send_work_queues(self._broker.publisher, agent_type, self.names(agent_type))
        except BusError:
            opened.discard(lane)
            raise

    async def restore(self, agent_type: str) -> None:
        """Declare all lanes in use anew, for somebody may have deleted their queues.

        :raises BusError: none of them can be declared now.
        """
        lanes = self._in_use(agent_type)
        for lane in lanes:
            self._broker.forget_lane(agent_type, lane)
        await self._broker.ensure_lanes(agent_type, lanes)

    def _in_use(self, agent_type: str) -> frozenset[Lane]:
        # Asked for each agent that registers, and all do at once when the broker is back: not by all Tasks.
        return self._store.inherited_lanes(agent_type) | self._opened[agent_type]
