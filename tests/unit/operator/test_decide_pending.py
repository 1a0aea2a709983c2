"""Why a Task waits, in words."""

from datetime import UTC, datetime

import pytest

from harebell_crds.task import TaskError
from harebell_operator.decide.observation import Supply
from harebell_operator.decide.pending import backing_off, in_queue


@pytest.mark.parametrize(
    ("supply", "reason", "words"),
    [
        (Supply(0, 0), "NoAgent", "no agent of type text is online"),
        (Supply(2, 0), "AgentsBusy", "are busy"),
        (Supply(2, 1), "WaitingForAgent", "will take it"),
        (Supply(2, 0, 2, ("halt", "night")), "AgentsPaused", "by halt, night"),
        (Supply(2, 0, 2), "AgentsPaused", "are paused"),
        (Supply(2, 0, deaf=2), "AgentsNotConsuming", "online but take no work"),
        (Supply(2, 0, 1, ("halt",), deaf=1), "AgentsNotConsuming", "the others are paused"),
        (Supply(2, 0, deaf=1), "AgentsBusy", "are busy"),
    ],
)
def test_what_keeps_a_queued_task(supply: Supply, reason: str, words: str) -> None:
    cause = in_queue("text", supply, None)
    assert cause.reason == reason
    assert words in cause.message


@pytest.mark.parametrize("supply", [Supply(0, 0), Supply(2, 1)])
def test_without_a_broker_nothing_else_is_the_cause_and_its_words_do_not_change(supply: Supply) -> None:
    causes = {in_queue("text", supply, error) for error in ("refused", "timed out")}
    assert {cause.reason for cause in causes} == {"BrokerUnreachable"}
    assert len(causes) == 1


def test_a_retry_names_its_time_and_the_last_error() -> None:
    until = datetime(2026, 1, 1, 12, 0, 7, 250000, UTC)
    cause = backing_off(2, TaskError(code="Timeout", message="no answer"), until)
    assert cause == ("Backoff", "tried again at 2026-01-01T12:00:07Z; attempt 2 ended: Timeout: no answer")
