"""How long a retry waits."""

from hypothesis import given
from hypothesis import strategies as st

from harebell_crds.task import Backoff
from harebell_operator.decide.backoff import retry_delay

POLICIES = st.builds(
    Backoff,
    initial_seconds=st.integers(0, 86400),
    factor=st.integers(1, 10),
    max_seconds=st.integers(0, 86400),
)


@given(POLICIES, st.integers(1, 101), st.text(max_size=36))
def test_the_jitter_takes_off_up_to_a_quarter_and_never_adds(
    policy: Backoff, failures: int, seed: str
) -> None:
    whole = min(policy.max_seconds, policy.initial_seconds * policy.factor ** (failures - 1))
    assert 0.75 * whole <= retry_delay(policy, failures, seed).total_seconds() <= whole


def test_tasks_that_failed_together_do_not_return_together() -> None:
    policy = Backoff(initial_seconds=100, max_seconds=100)
    waits = sorted(retry_delay(policy, 1, f"uid-{n}").total_seconds() for n in range(200))
    assert waits[0] < 78
    assert waits[-1] > 97
    assert len(set(waits)) > 190


def test_the_same_failure_always_waits_as_long() -> None:
    assert retry_delay(Backoff(), 3, "uid") == retry_delay(Backoff(), 3, "uid")
    assert retry_delay(Backoff(), 3, "uid") != retry_delay(Backoff(), 3, "other")
