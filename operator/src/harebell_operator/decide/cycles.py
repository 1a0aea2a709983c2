"""Finds what waits for itself in a directed graph, in time linear in what can be reached."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

N = TypeVar("N", bound=Hashable)


def find_cycles(starts: Iterable[N], edges: Callable[[N], Iterable[N]]) -> dict[N, tuple[N, ...]]:
    """Return each node that can be reached from ``starts`` and lies on a cycle.

    With it comes a cycle of its strongly connected component, first node repeated at the end; one for all the
    members, so a node need not be on the cycle it is shown. Every cycle in reach is in some component.
    """
    found: dict[N, tuple[N, ...]] = {}
    for component in _components(starts, edges):
        members = set(component)
        cycle = _cycle(component[-1], members, edges)
        if cycle is not None:
            found.update(dict.fromkeys(members, cycle))
    return found


def _components(starts: Iterable[N], edges: Callable[[N], Iterable[N]]) -> Iterator[list[N]]:
    """Yield the strongly connected components (Tarjan, 1972), without recursion: a chain may be long."""
    order: dict[N, int] = {}
    low: dict[N, int] = {}
    stack: list[N] = []
    on_stack: set[N] = set()
    for start in starts:
        if start in order:
            continue
        path: list[tuple[N, Iterator[N]]] = []
        entering: N | None = start
        while entering is not None or path:
            if entering is not None:
                order[entering] = low[entering] = len(order)
                stack.append(entering)
                on_stack.add(entering)
                path.append((entering, iter(edges(entering))))
                entering = None
            node, following = path[-1]
            for other in following:
                if other not in order:
                    entering = other
                    break
                if other in on_stack:
                    low[node] = min(low[node], order[other])
            if entering is not None:
                continue
            path.pop()
            if path:
                above = path[-1][0]
                low[above] = min(low[above], low[node])
            if low[node] == order[node]:
                component = [stack.pop()]
                while component[-1] != node:
                    component.append(stack.pop())
                on_stack.difference_update(component)
                yield component


def _cycle(start: N, members: set[N], edges: Callable[[N], Iterable[N]]) -> tuple[N, ...] | None:
    """Return a shortest way from ``start`` back to it within its component, or None: there is none."""
    came: dict[N, N] = {}
    ahead = deque([start])
    while ahead:
        node = ahead.popleft()
        for other in edges(node):
            if other == start:
                way = [start, node]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return tuple(reversed(way))
            if other in members and other not in came:
                came[other] = node
                ahead.append(other)
    return None
