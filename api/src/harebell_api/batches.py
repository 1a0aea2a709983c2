"""Dispatches several Tasks, each for itself: what is wrong with one does not hinder the others.

There is no all-or-nothing: Kubernetes makes one object at a time, and one that was made may be running
before the next is refused.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from .handlers import validation_problem
from .models import BatchEntry
from .permissions import Access
from .problems import Problem, ProblemError
from .tasks import Dispatched, Tasks

AT_ONCE = 10
"""Tasks of batches that are being made at the same time, in all of the process."""


@dataclass(frozen=True)
class Entry:
    """What became of one entry."""

    made: Dispatched | None = None
    problem: Problem | None = None


class Batches:
    """Dispatches batches."""

    def __init__(self, tasks: Tasks, at_once: int = AT_ONCE) -> None:
        self._tasks, self._room = tasks, asyncio.Semaphore(at_once)

    async def dispatch(self, entries: Sequence[Any], access: Access) -> list[Entry]:
        """Return what became of each entry, in their order."""
        return list(await asyncio.gather(*(self._entry(n, e, access) for n, e in enumerate(entries))))

    async def _entry(self, number: int, entry: Any, access: Access) -> Entry:
        try:
            request = BatchEntry.model_validate(entry)
        except ValidationError as error:
            found = [
                {**e, "loc": ("body", *e["loc"])}
                for e in error.errors(include_url=False, include_input=False)
            ]
            return Entry(problem=_within(number, validation_problem(found, "application/json")))
        try:
            async with self._room:
                return Entry(made=await self._tasks.dispatch(request, request.idempotency_key, access))
        except ProblemError as error:
            return Entry(problem=_within(number, error.problem))


def _within(number: int, problem: Problem) -> Problem:
    """Return a problem of one Task as that of an entry of the request."""
    return replace(
        problem,
        errors=tuple(
            replace(error, pointer=f"/tasks/{number}{error.pointer}") if error.pointer is not None else error
            for error in problem.errors
        ),
    )
