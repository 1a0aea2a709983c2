"""Runs interleavings: each is made from a seed, and the same seed makes the same one."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from harebell_operator.decide.task import decide as decide_task

from .faults import EVENTS, WEIGHTS
from .world import Decide, World

STEPS = 60


@dataclass
class BrokenRuleError(AssertionError):
    """An interleaving after which something did not hold that should; the seed makes it again."""

    seed: int
    rule: str
    events: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.rule}\nseed {self.seed}, after: {', '.join(self.events)}"


def interleaving(seed: int, decide: Decide = decide_task) -> str:
    """Run one and return the phase the Task ended in. :raises BrokenRuleError: something did not hold."""
    rng = random.Random(seed)
    world = World(rng, decide)
    events = rng.choices(EVENTS, WEIGHTS, k=rng.randint(10, STEPS))
    done: list[str] = []
    try:
        for event in events:
            if world.deleted:
                break
            done.append(event.__name__)
            event(world)
        done.append("order is restored")
        world.settle()
    except AssertionError as error:
        raise BrokenRuleError(seed, str(error) or repr(error), tuple(done)) from error
    return str(world.stored.phase)


def first_broken(seeds: Iterable[int], decide: Decide) -> BrokenRuleError | None:
    """Return what the first interleaving that breaks a rule shows, or None."""
    for seed in seeds:
        try:
            interleaving(seed, decide)
        except BrokenRuleError as broken:
            return broken
    return None
