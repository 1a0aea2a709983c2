"""harebell why, agents and version: what is known, in words."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from harebell_cli.agent_table import agent_table
from harebell_cli.explanation import Facts, explain
from harebell_cli.hints import hints
from harebell_cli.tasks import Task
from harebell_cli.version import lines

from .objects import NOW, agent, ago, attempt, task, waiting


def shown(*words: str) -> str:
    return f"harebell {shlex.join(words)}"


def facts(found: Task, *agents: Mapping[str, Any], **needed: Task | None) -> Facts:
    return Facts(found, agents, needed, [])


def told(found: Facts) -> str:
    return explain(found, NOW, shown)


def test_a_task_that_waits() -> None:
    needs = {"dependsOn": [{"name": "a"}, {"name": "b", "condition": "Finished"}, {"name": "c"}]}
    found = waiting("DependencyMissing", "there is no Task c", phase="Pending", spec=needs)
    agents = [
        agent("a-2", phase="Busy", currentTasks=[{"name": name} for name in "wxyz"]),
        agent("a-1", phase="Offline", reason="PodGone", capabilities={"actions": ["sleep", "fetch"]}),
    ]
    event = {
        "type": "Normal",
        "reason": "Seen",
        "message": "by\nit",
        "lastTimestamp": ago(minutes=2),
        "metadata": {},
    }
    known = Facts(
        found,
        agents,
        {"a": task("a"), "b": task("b", "Failed", reason="Bad"), "c": None},
        [event],
        "Unreachable: no",
    )
    assert told(known).splitlines() == [
        "task/t: echo for agents of type text, priority normal",
        "",
        "Pending for 1m30s",
        "  DependencyMissing: there is no Task c",
        "  the operator cannot reach the message broker: Unreachable: no",
        "",
        "depends on:",
        "  TASK  WANTED     IS",
        "  a     Succeeded  Running",
        "  b     Finished   Failed: Bad",
        "  c     Succeeded  there is none",
        "",
        "agents of type text:",
        "  NAME  TYPE  STATUS             TASKS               CPU  GPU-MEM  HEARTBEAT",
        "  a-1   text  Offline (PodGone)  -                   -    -        12s",
        "  a-2   text  Busy               w, x, y and 1 more  -    -        12s",
        "  none of them offers echo; they offer fetch, sleep",
        "",
        "events:",
        "  AGO  TYPE    REASON  MESSAGE",
        "  2m   Normal  Seen    by it",
        "",
        "what may help:",
        "  make c",
        "  give it up: harebell cancel t",
    ]


def test_agents_that_nobody_may_read_are_not_said_to_be_none() -> None:
    assert "\nagents of type" not in told(Facts(waiting("AgentsBusy"), None, {}, []))
    assert "\nagents of type text: none is known" in told(facts(waiting("NoAgent")))


def test_a_task_that_failed() -> None:
    found = task(
        phase="DeadLettered",
        spec={"retryPolicy": {"maxRetries": 1}, "replayOf": {"name": "s", "uid": "0"}},
        failures=2,
        error={"code": "Boom", "message": "no\nluck"},
        attempts=[{"attempt": 1, "outcome": "Lost"}, attempt(2, "Failed", "no luck")],
        completedAt=ago(hours=3),
    )
    assert told(facts(found, agent())).splitlines() == [
        "task/t: echo for agents of type text, priority normal, does s again",
        "",
        "DeadLettered at attempt 2: Boom: no",
        "  luck (3h ago)",
        "",
        "attempts (2 failed, 1 retries allowed):",
        "  ATTEMPT  AGENT  STARTED  TOOK  OUTCOME  ERROR",
        "  1        -      never    -     Lost     -",
        "  2        a-1    20s ago  2.5s  Failed   Boom: no luck",
        "",
        "what may help:",
        "  do it again: harebell replay t",
    ]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (task(phase=None), "the operator has not looked at it"),
        (
            task(attempt=2, agentName="a", startedAt=ago(seconds=5), progress={"percent": 5}),
            "5s, attempt 2 on a\n  5 %",
        ),
        (waiting("NoAgent"), "agents of type text: none is known"),
        (task(spec={"suspend": True, "cancel": "Graceful"}), "suspended, to be cancelled (Graceful)"),
        (task(phase="Succeeded", completedAt=ago(seconds=3)), "Succeeded (3s ago)"),
        (task(phase="Exploring"), "Exploring"),
    ],
)
def test_states(found: Task, said: str) -> None:
    assert said in told(facts(found))


_PAUSED, _DRAINED = agent("p", spec={"paused": True}), agent("d", spec={"drain": True})


@pytest.mark.parametrize(
    ("found", "agents", "said"),
    [
        (waiting("Suspended", phase="Pending"), [], "harebell resume t"),
        (waiting("NoAgent"), [], "scale their AgentPool"),
        (waiting("AgentsPaused"), [_PAUSED, _DRAINED], "harebell unpause p"),
        (waiting("AgentsPaused"), [_PAUSED, _DRAINED], "harebell undrain d"),
        (waiting("AgentsPaused"), [agent()], "kubectl get announcements"),
        (waiting("AgentsBusy"), [], "harebell priority t high"),
        (waiting("BrokerUnreachable"), [], "harebell version"),
        (waiting("AgentsNotConsuming"), [], "kubectl describe agent"),
        (task(), [], "harebell follow t"),
        (task(phase="Succeeded"), [], "harebell result t"),
        (task(phase="Failed"), [], "harebell replay t"),
        (task(phase="Cancelled", duplicateOf={"name": "s"}), [], "harebell why s"),
    ],
)
def test_what_may_help(found: Task, agents: Sequence[dict[str, Any]], said: str) -> None:
    assert any(said in line for line in hints(facts(found, *agents), shown))


def test_what_cannot_help_is_not_said() -> None:
    urgent = waiting("AgentsBusy", spec={"priority": "critical"})
    assert not any("priority" in line for line in hints(facts(urgent), shown))
    given_up = task(spec={"cancel": "Graceful"})
    assert not any("cancel" in line for line in hints(facts(given_up), shown))
    assert not any("announcements" in line for line in hints(facts(waiting("AgentsPaused"), _PAUSED), shown))


def test_what_others_wait_for_is_named() -> None:
    found = facts(waiting("WaitingForDependencies"), a=task("a"), b=task("b", "Succeeded"))
    assert hints(found, shown)[0] == "why a has not finished: harebell why a"


def test_agents() -> None:
    gpu = {"name": "H100", "memoryTotalBytes": 8 * 2**30}
    rich = agent(
        "a-1",
        phase="Busy",
        reason="HeartbeatReceived",
        currentTasks=[{"name": "t"}],
        summary={"cpu": "3%", "gpuMemory": "1.0/16.0Gi"},
        resources={"gpus": [gpu, gpu], "memory": {"usedBytes": 2**30, "totalBytes": 2**31}},
        conditions=[{"type": "Consuming", "status": "True"}],
        nodeName="n",
        version="1.0",
    )
    bare = {"metadata": {"name": "new", "namespace": "work"}, "spec": {"type": "text"}}
    unread = agent("a-3", resources={"gpusReason": "no driver"})
    assert [line.split("  ") for line in agent_table([bare], NOW, wide=False).splitlines()][1][0] == "new"
    heads, first, second, third = agent_table(
        [rich, bare, unread], NOW, wide=True, namespaces=True
    ).splitlines()
    assert heads.split() == [
        *("NAMESPACE", "NAME", "TYPE", "STATUS", "TASKS", "CPU", "GPU-MEM", "HEARTBEAT"),
        *("MEMORY", "GPUS", "CONSUMING", "NODE", "VERSION", "AGE"),
    ]
    assert first.split() == [
        *("work", "a-1", "text", "Busy", "t", "3%", "1.0/16.0Gi", "12s"),
        *("1.0/2.0Gi", "2x", "H100", "True", "n", "1.0", "2d1h"),
    ]
    assert second.split() == ["work", "new", "text", "Unknown", *["-"] * 10]
    assert third.split()[9] == "unknown"


def test_versions() -> None:
    place = {
        "namespace": "work",
        "operated": True,
        "operator": None,
        "rabbitmq": "4.3.1",
        "conditions": [
            {"type": "BrokerReachable", "status": "False", "reason": "Unreachable", "message": "no"}
        ],
        "agents": {"0.2.0": 1, "0.1.0": 3},
    }
    assert lines({"command": "0.1.0", "installation": place}) == [
        "harebell 0.1.0",
        "installation in namespace work:",
        "  operator of an unknown version",
        "  RabbitMQ 4.3.1",
        "  BrokerReachable: False (Unreachable, no)",
        "  agents: 3 of 0.1.0, 1 of 0.2.0",
    ]
    assert lines({"command": "0.1.0"}) == ["harebell 0.1.0"]
    assert "no operator" in lines({"command": "1", "installation": {**place, "operated": False}})[1]
