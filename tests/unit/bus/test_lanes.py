"""The table of lanes: one place for every message, and an order that needs no comparing."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from harebell_bus.lanes import LANES, LEVELS, Lane, Tier, lane_of, work_queue_names
from harebell_bus.topology import LANE_HEADER, PRIORITIES, lane_topology

messages = st.tuples(st.sampled_from(LEVELS), st.sampled_from(Tier))


def test_every_level_and_tier_has_exactly_one_lane() -> None:
    places = [(lane.tier, level) for lane in LANES for level in lane.levels]
    assert sorted(places) == sorted(itertools.product(Tier, LEVELS))


def test_every_message_in_an_earlier_lane_is_at_least_as_urgent() -> None:
    for earlier, later in itertools.combinations(LANES, 2):
        for urgent, other in itertools.product(earlier.levels, later.levels):
            assert LEVELS.index(urgent) <= LEVELS.index(other), (earlier, later)


def test_a_disk_lane_holds_one_level() -> None:
    # A quorum queue serves a returned message first of all: it must not get before a more urgent one.
    assert all(len(lane.levels) == 1 for lane in LANES if lane.tier is Tier.DISK)


@given(st.lists(messages, max_size=30))
def test_looking_in_order_finds_the_most_urgent(waiting: list[tuple[str, Tier]]) -> None:
    lanes: dict[Lane, list[str]] = {lane: [] for lane in LANES}
    for level, tier in waiting:
        lanes[lane_of(level, tier)].append(level)
    taken = []
    for _ in waiting:
        lane = next(lane for lane in LANES if lanes[lane])
        # As a queue with priorities does.
        level = max(lanes[lane], key=PRIORITIES.__getitem__)
        lanes[lane].remove(level)
        taken.append(level)
    assert taken == sorted(taken, key=LEVELS.index)


def test_lanes_are_told_apart_by_header_and_name() -> None:
    names = work_queue_names("text")
    assert len(set(names)) == len(LANES)
    for lane, name in zip(LANES, names, strict=True):
        topology = lane_topology("text", lane)
        assert [queue.name for queue in topology.queues] == [name]
        assert [binding.arguments[LANE_HEADER] for binding in topology.bindings] == [lane.name]


def test_a_memory_lane_of_two_levels_tells_them_apart() -> None:
    for lane in LANES:
        arguments = lane_topology("text", lane).queues[0].arguments
        assert ("x-max-priority" in arguments) == (lane.tier is Tier.MEMORY and len(lane.levels) > 1)
        assert arguments["x-queue-type"] == ("quorum" if lane.tier is Tier.DISK else "classic")
