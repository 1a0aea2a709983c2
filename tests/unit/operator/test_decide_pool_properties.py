"""Random interleavings of scaling, new templates, work, slow news and restarts against the decision about
a pool.

The world below has the truth (agents that take and finish work, and do what they were told once the message
has arrived) and what the operator has heard of it. Whatever happens in between, no Pod is removed whose agent
works, and never are there more than one Pod too many; once nobody interferes, the pool is as wanted.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from harebell_crds.pool import AgentPoolStatus, RollingUpdate
from harebell_operator.decide.pod import PodFacts
from harebell_operator.decide.pool import Member, PoolDecision, PoolObservation, Presence, decide

T0 = datetime(2026, 1, 1, tzinfo=UTC)
CAPACITY = 2
EVENTS = ("registers", "takes work", "takes work", "finishes work", "is told", "is heard")


@dataclass
class Agent:
    """An agent as it is, and, below, as the operator knows it."""

    facts: PodFacts
    registered: bool = False
    working: int = 0
    told: str | None = None
    """The drain it keeps to."""
    mark: str | None = None
    """The drain the operator wants it to keep to."""
    heard: bool = False
    tasks: int = 0
    said: str | None = None
    """The drain it acknowledged in its newest heartbeat, if that listed no Task."""

    def beat(self) -> None:
        self.heard, self.tasks = True, self.working
        self.said = self.told if self.working == 0 else None

    def member(self) -> Member:
        presence = Presence.ONLINE if self.heard else Presence.UNHEARD if self.registered else Presence.ABSENT
        return Member(
            self.facts,
            presence,
            expected=self.registered,
            tasks=self.tasks,
            draining=self.mark is not None,
            drained=self.mark is not None and self.said == self.mark,
        )


class World(RuleBasedStateMachine):
    """A pool, its operator and its agents."""

    def __init__(self) -> None:
        super().__init__()
        self.replicas, self.template = 1, "v0"
        self.rollout = RollingUpdate()
        self.agents: dict[str, Agent] = {}
        self.made = 0

    def reconcile(self) -> PoolDecision:
        members = tuple(a.member() for a in self.agents.values())
        decision = decide(
            PoolObservation(
                "uid", 1, self.replicas, self.template, "s", AgentPoolStatus(), members, rollout=self.rollout
            ),
            T0,
        )
        for uid in decision.undrain:
            self.agents[uid].mark = None
        for uid in decision.drain:
            self.made += 1
            self.agents[uid].mark = f"drain-{self.made}"
        for uid in decision.delete:
            agent = self.agents.pop(uid)
            assert agent.mark is not None
            assert agent.working == 0, f"{uid} was removed while it worked"
        if decision.create:
            # Whatever could be had back of the present template was, before anything is made.
            kept = (a for a in self.agents.values() if a.facts.template_hash == self.template)
            assert not decision.undrain or not any(a.mark for a in kept)
        for _ in range(decision.create):
            self.made += 1
            name = f"pod-{self.made}"
            created = T0 + timedelta(seconds=self.made)
            self.agents[name] = Agent(PodFacts(name, name, "uid", created, self.template, created))
            assert len(self.agents) <= self.replicas + self.rollout.max_surge
        return decision

    @initialize(replicas=st.integers(1, 4), limits=st.sampled_from([(1, 0), (0, 1), (1, 1), (3, 0), (0, 3)]))
    def begin(self, replicas: int, limits: tuple[int, int]) -> None:
        self.replicas = replicas
        self.rollout = RollingUpdate(max_surge=limits[0], max_unavailable=limits[1])
        self.reconcile()
        for agent in self.agents.values():
            self.register(agent)

    def register(self, agent: Agent) -> None:
        agent.registered = True
        # Its Welcome says whether to take work.
        agent.told = agent.mark
        agent.beat()

    def happen(self, event: str, agent: Agent) -> None:
        if event == "registers":
            self.register(agent)
        elif not agent.registered:
            return
        elif event == "takes work" and agent.told is None:
            agent.working = min(CAPACITY, agent.working + 1)
        elif event == "finishes work":
            agent.working = max(0, agent.working - 1)
        elif event == "is told":
            agent.told = agent.mark
        elif event == "is heard":
            agent.beat()
            self.reconcile()

    @rule(events=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 4)), min_size=1, max_size=10))
    def agents_live(self, events: list[tuple[str, int]]) -> None:
        for event, which in events:
            if self.agents:
                self.happen(event, list(self.agents.values())[which % len(self.agents)])

    @rule(replicas=st.integers(0, 4))
    def scale(self, replicas: int) -> None:
        self.replicas = replicas
        self.reconcile()

    @rule(version=st.integers(0, 2))
    def new_template(self, version: int) -> None:
        self.template = f"v{version}"
        self.reconcile()

    @rule(which=st.integers(0, 4))
    def somebody_takes_one_away(self, which: int) -> None:
        if which < len(self.agents):
            del self.agents[list(self.agents)[which]]
        self.reconcile()

    @rule()
    def the_operator_restarts(self) -> None:
        for agent in self.agents.values():
            agent.mark, agent.said, agent.heard = None, None, False
        self.reconcile()

    def teardown(self) -> None:
        """In the end it is as wanted."""
        for _ in range(100):
            for agent in self.agents.values():
                agent.registered, agent.told, agent.working = True, agent.mark, 0
                agent.beat()
            decision = self.reconcile()
            if not (decision.drain or decision.undrain or decision.delete or decision.create):
                break
        else:
            raise AssertionError("it does not settle")
        assert [a.facts.template_hash for a in self.agents.values()] == [self.template] * self.replicas
        assert not any(a.mark for a in self.agents.values())


TestPool = World.TestCase
TestPool.settings = settings(
    max_examples=80, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
