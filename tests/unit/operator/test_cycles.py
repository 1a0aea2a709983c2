"""Cycles in directed graphs, compared with what can be reached from where."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harebell_operator.decide.cycles import find_cycles

Edges = dict[int, list[int]]


@st.composite
def graphs(draw: st.DrawFn) -> Edges:
    size = draw(st.integers(1, 9))
    node = st.integers(0, size - 1)
    return {n: draw(st.lists(node, max_size=3)) for n in range(size)}


def reachable(start: int, edges: Edges) -> set[int]:
    """What can be reached from ``start`` in one step or more."""
    seen: set[int] = set()
    ahead = [start]
    while ahead:
        for other in edges[ahead.pop()]:
            if other not in seen:
                seen.add(other)
                ahead.append(other)
    return seen


@given(edges=graphs(), starts=st.sets(st.integers(0, 8), max_size=4))
def test_exactly_the_nodes_that_reach_themselves_are_found(edges: Edges, starts: set[int]) -> None:
    starts &= edges.keys()
    found = find_cycles(sorted(starts), edges.__getitem__)
    seen = set(starts).union(*(reachable(s, edges) for s in starts))
    assert found.keys() == {n for n in seen if n in reachable(n, edges)}
    for node, cycle in found.items():
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1 >= 1
        assert all(b in edges[a] for a, b in pairwise(cycle))
        assert cycle[0] in reachable(node, edges)
        assert node in reachable(cycle[0], edges)


def test_a_graph_is_walked_once_however_large() -> None:
    size, asked = 50_000, 0

    def edges(node: int) -> list[int]:
        nonlocal asked
        asked += 1
        return [node + 1, node + 2] if node + 2 < size else []

    assert find_cycles(range(size), edges) == {}
    # Once to walk it, once to see whether a component of one node is a cycle.
    assert asked <= 2 * size


def test_a_long_cycle_is_found_without_recursion() -> None:
    size = 50_000
    found = find_cycles([7], lambda n: [(n + 1) % size])
    assert len(found) == size
    assert len(found[0]) == size + 1
