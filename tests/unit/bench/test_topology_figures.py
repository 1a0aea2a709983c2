"""What counts as an inversion, and the other figures of the comparison of topologies."""

import pytest
from tests.bench.topology.candidates import CANDIDATES
from tests.bench.topology.figures import Claim, Row, inversions, percentile, table, throughput

from harebell_bus.lanes import LEVELS, Tier


def claim(level: str, begun: float, acknowledged: float, confirmed: float = 0) -> Claim:
    return Claim(level, confirmed - 1, confirmed, begun, acknowledged)


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ([claim("low", 1, 2), claim("high", 3, 4)], 1),
        ([claim("high", 1, 2), claim("low", 3, 4)], 0),
        ([claim("low", 1, 2), claim("low", 3, 4)], 0),
        # Two agents at the same time: neither left the other's message waiting.
        ([claim("low", 1, 3), claim("high", 2, 4)], 0),
        # It came when the agent was already looking.
        ([claim("low", 1, 2), claim("high", 3, 4, confirmed=1.5)], 0),
        # However many are passed over, it is one wrong choice.
        ([claim("low", 1, 2), claim("high", 3, 4), claim("critical", 5, 6)], 2),
    ],
)
def test_an_inversion_is_a_message_taken_while_a_more_urgent_one_waited(
    claims: list[Claim], found: int
) -> None:
    assert inversions(claims) == found


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 2), (75, 3), (76, 4), (99, 4), (100, 4)])
def test_percentile(percent: float, value: float) -> None:
    assert percentile([4, 1, 3, 2], percent) == value


def test_throughput_is_over_the_whole_time() -> None:
    assert throughput([claim("low", 1, 2), claim("low", 1.5, 3)]) == 1


def test_the_table_has_a_part_for_each_number_of_nodes() -> None:
    rows = [Row(n, 4, "default", "ladder", 1.25, 2, 300, 0, 1) for n in (1, 3)]
    text = table(rows)
    assert "### 1 broker node, default" in text
    assert "### 3 broker nodes, default" in text
    assert "| ladder | 4 | 1.2 | 2.0 | 300 | 0 | 1 |" in text


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_has_a_place_for_every_message(name: str) -> None:
    candidate = CANDIDATES[name]
    for level in LEVELS:
        for tier in Tier:
            assert level in candidate.lane(level, tier).levels
    assert len(candidate.queues) == len(candidate.topology().queues) == len(candidate.topology().bindings)
