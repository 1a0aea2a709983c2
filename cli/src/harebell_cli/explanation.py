"""Why a Task waits, or what it failed of, in words: from what was gathered to what is printed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .agent_table import agent_table
from .durations import age, spell
from .hints import hints
from .news import ending
from .tasks import Task, moment
from .text import indented, some, table

Object = Mapping[str, Any]
_INDENT = "  "
_AGENTS = 20
_EVENTS = 10
_UNSEEN = timedelta(seconds=10)
"""How long an operator that is at work may take to look at a Task."""


@dataclass(frozen=True)
class Facts:
    """What is known."""

    task: Task
    agents: Sequence[Object] | None
    """Those of the Task's type. None: nobody may read them."""
    needed: Mapping[str, Task | None]
    """The Tasks that it depends on, by name. None: there is no such Task."""
    events: Sequence[Object]
    broker_trouble: str | None = None


def explain(facts: Facts, now: datetime, shown: Callable[..., str]) -> str:
    """Return the explanation; ``shown`` spells a command line of ours for a shell."""
    parts = [
        _heading(facts.task),
        _state(facts, now),
        _needs(facts),
        _attempts(facts.task, now),
        _agents(facts, now),
        _events(facts.events, now),
        _listed("what may help:", hints(facts, shown)),
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(task: Task) -> str:
    spec = task.spec
    parts = [f"task/{task.name}: {spec['action']} for agents of type {spec['agentType']}"]
    parts.append(f"priority {spec.get('priority', 'normal')}")
    if spec.get("replayOf"):
        parts.append(f"does {spec['replayOf']['name']} again")
    if spec.get("suspend"):
        parts.append("suspended")
    if spec.get("cancel"):
        parts.append(f"to be cancelled ({spec['cancel']})")
    return ", ".join(parts)


def _state(facts: Facts, now: datetime) -> str:
    task = facts.task
    if task.finished:
        at = task.since("completedAt")
        return ending(task) + (f" ({age(now - at)} ago)" if at else "")
    since = task.since("startedAt") if task.phase == "Running" else task.since("queuedAt") or task.created
    lasts = f" for {age(now - since)}" if since else ""
    lines = [f"{task.phase}{lasts}"]
    if task.phase == "Running":
        lines[0] += f", attempt {task.status.get('attempt')} on {task.status.get('agentName')}"
        if task.progress:
            lines.append(task.progress)
    elif task.cause:
        reason, message = task.cause
        lines.append(f"{reason}: {message}" if message else reason)
    elif not task.status and (task.created is None or now - task.created > _UNSEEN):
        lines.append("the operator has not looked at it: none is at work in this namespace, or it is behind")
    if facts.broker_trouble:
        lines.append(f"the operator cannot reach the message broker: {facts.broker_trouble}")
    return "\n".join(indented(line, _INDENT * 2) if n == 0 else _INDENT + indented(line, _INDENT * 2)
                     for n, line in enumerate(lines))  # fmt: skip


def _needs(facts: Facts) -> str:
    if not facts.needed:
        return ""
    rows = [("TASK", "WANTED", "IS")]
    for dependency in facts.task.spec.get("dependsOn") or ():
        found = facts.needed.get(dependency["name"])
        wanted = dependency.get("condition", "Succeeded")
        rows.append((dependency["name"], wanted, _needed(found)))
    return _tabled("depends on:", rows)


def _needed(task: Task | None) -> str:
    if task is None:
        return "there is none"
    return ending(task) if task.finished else task.phase


def _attempts(task: Task, now: datetime) -> str:
    if not task.attempts:
        return ""
    rows = [("ATTEMPT", "AGENT", "STARTED", "TOOK", "OUTCOME", "ERROR")]
    rows += [
        (
            str(each.number),
            each.agent or "",
            f"{age(now - each.started)} ago" if each.started else "never",
            spell(each.took) if each.took else "",
            each.outcome or "runs",
            each.error or "",
        )
        for each in task.attempts
    ]
    allowed = (task.spec.get("retryPolicy") or {}).get("maxRetries", 3)
    return _tabled(f"attempts ({task.status.get('failures', 0)} failed, {allowed} retries allowed):", rows)


def _agents(facts: Facts, now: datetime) -> str:
    if facts.agents is None or facts.task.finished:
        return ""
    agent_type = facts.task.spec["agentType"]
    if not facts.agents:
        return f"agents of type {agent_type}: none is known"
    own = sorted(facts.agents, key=lambda agent: str(agent["metadata"]["name"]))
    rest = f"\n{_INDENT}and {len(own) - _AGENTS} more" if len(own) > _AGENTS else ""
    text = f"agents of type {agent_type}:\n" + _shifted(agent_table(own[:_AGENTS], now, wide=False)) + rest
    offered = {
        action
        for agent in own
        for action in ((agent.get("status") or {}).get("capabilities") or {}).get("actions") or ()
    }
    if offered and facts.task.spec["action"] not in offered:
        offers = some(sorted(offered), 20)
        text += f"\n{_INDENT}none of them offers {facts.task.spec['action']}; they offer {offers}"
    return text


def _events(events: Sequence[Object], now: datetime) -> str:
    if not events:
        return ""
    rows = [("AGO", "TYPE", "REASON", "MESSAGE")]
    for event in sorted(events, key=_time)[-_EVENTS:]:
        at = moment(_time(event))
        rows.append(
            (
                age(now - at) if at else "",
                event.get("type") or "",
                event.get("reason") or "",
                event.get("message") or "",
            )
        )
    return _tabled("events:", rows)


def _time(event: Object) -> str:
    """Return when an Event was last seen; of the members that may say so, whichever does."""
    return str(
        event.get("lastTimestamp")
        or (event.get("series") or {}).get("lastObservedTime")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def _tabled(title: str, rows: Sequence[Sequence[str]]) -> str:
    return f"{title}\n{_shifted(table(rows))}"


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"{_INDENT}{line}" for line in lines)]) if lines else ""


def _shifted(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.splitlines())
