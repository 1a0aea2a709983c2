"""From what was seen to the figures of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from statistics import median

from tests.bench.topology.figures import percentile


class Subject(StrEnum):
    """What is measured."""

    TASKS = "Tasks"
    """Created, worked on by agents, seen Succeeded."""
    MESSAGES = "messages"
    """The broker's part of the same: published, worked on by agents, outcome heard."""
    JOBS = "Kubernetes Jobs"
    WRITES = "bare writes"
    CELERY = "Celery"


@dataclass(frozen=True)
class Life:
    """One Task's times, in seconds of Unix time on one clock."""

    created: float
    """When the request that creates it was sent."""
    queued: float
    """When the operator decided to publish it (``status.queuedAt``)."""
    started: float
    """When the agent began (``status.startedAt``)."""
    completed: float
    """When the agent was done (``status.completedAt``)."""
    seen: float
    """When a watch showed that."""

    def legs(self) -> dict[str, float]:
        """Return the seconds of each leg, in order, and of the whole."""
        return {
            "created → queued": self.queued - self.created,
            "queued → started": self.started - self.queued,
            "started → completed": self.completed - self.started,
            "completed → seen": self.seen - self.completed,
            "created → seen": self.seen - self.created,
        }


@dataclass(frozen=True)
class Pass:
    """One measurement."""

    subject: Subject
    repeat: int
    count: int
    """Of Tasks, Jobs or messages."""
    seconds: float
    """From the first one sent to the last one seen done."""
    agents: int | None = None
    """Or workers; None where the number of agents changes nothing."""
    writes: float | None = None
    """Status writes of one Task."""
    cpu: Mapping[str, float] = field(default_factory=dict)
    """CPU seconds of all together, by component."""
    busy: float | None = None
    """Share of the machine's CPU time that was used, by whomever."""
    lives: Sequence[Life] = ()

    @property
    def per_second(self) -> float:
        """The throughput."""
        return self.count / self.seconds


@dataclass(frozen=True)
class Goal:
    """How many times as fast as a rival a subject is to be."""

    subject: Subject
    rival: Subject
    times: float


GOALS = (
    Goal(Subject.TASKS, Subject.JOBS, 3),
    Goal(Subject.TASKS, Subject.WRITES, 0.5),
    Goal(Subject.MESSAGES, Subject.CELERY, 3),
)


@dataclass(frozen=True)
class Ratio:
    """A subject's throughput over a rival's: the median over the repeats, and the extremes."""

    goal: Goal
    agents: int
    median: float
    lowest: float
    highest: float

    @property
    def reached(self) -> bool:
        """Whether the median is as good as it is to be."""
        return self.median >= self.goal.times


def chosen(passes: Sequence[Pass], subject: Subject, agents: int | None = None) -> list[Pass]:
    """Return the passes of a subject with a number of agents, or with any."""
    return [p for p in passes if p.subject is subject and agents in (None, p.agents)]


def ratios(passes: Sequence[Pass]) -> list[Ratio]:
    """Return one ratio for every goal and number of agents that was measured together with its rival.

    Only passes of the same repeat are divided: what else the machine did changes from one to the next.
    """
    found = []
    for goal in GOALS:
        for agents in sorted({p.agents for p in chosen(passes, goal.subject) if p.agents is not None}):
            rivals = {p.repeat: p for p in chosen(passes, goal.rival) if p.agents in (None, agents)}
            values = [
                mine.per_second / rivals[mine.repeat].per_second
                for mine in chosen(passes, goal.subject, agents)
                if mine.repeat in rivals
            ]
            if values:
                found.append(Ratio(goal, agents, median(values), min(values), max(values)))
    return found


def legs(passes: Sequence[Pass]) -> dict[str, tuple[float, float]]:
    """Return p50 and p99 of each leg in milliseconds, over the Tasks of all the passes."""
    every = [life.legs() for p in passes for life in p.lives]
    names = every[0] if every else ()
    found = {}
    for name in names:
        milliseconds = [leg[name] * 1000 for leg in every]
        found[name] = percentile(milliseconds, 50), percentile(milliseconds, 99)
    return found


def cpu(passes: Sequence[Pass]) -> dict[str, float]:
    """Return the median CPU milliseconds of one Task, Job or message, by component."""
    names = dict.fromkeys(name for p in passes for name in p.cpu)
    return {name: median(p.cpu.get(name, 0) * 1000 / p.count for p in passes) for name in names}


def spread(total: int, each: float) -> list[int]:
    """Divide ``each`` times ``total`` writes among ``total`` objects as evenly as whole numbers allow."""
    ends = [round(number * each) for number in range(total + 1)]
    return [after - before for before, after in pairwise(ends)]
