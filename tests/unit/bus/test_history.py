"""What the history records."""

import pytest

from harebell_bus.history import HISTORY_INTAKE, history_topology
from harebell_bus.topology import base_topology


@pytest.mark.parametrize("heartbeats", [True, False])
def test_every_exchange_is_recorded_heartbeats_only_if_wanted(heartbeats: bool) -> None:
    topology = history_topology(heartbeats=heartbeats)
    recorded = {b.exchange for b in topology.bindings if b.queue == HISTORY_INTAKE}
    exchanges = {exchange.name for exchange in base_topology().exchanges}
    assert exchanges - recorded == (set() if heartbeats else {"harebell.heartbeats"})
    # What was switched on before is taken back.
    assert {b.exchange for b in topology.unbindings} == exchanges - recorded


def test_the_intake_has_no_end_at_which_work_would_be_refused() -> None:
    (intake,) = (q for q in history_topology(heartbeats=False).queues if q.name == HISTORY_INTAKE)
    assert not {"x-max-length", "x-max-length-bytes"} & intake.arguments.keys()
