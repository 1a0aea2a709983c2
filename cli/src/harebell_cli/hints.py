"""What may help a Task on, by what it waits for or ended of."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from .text import some

if TYPE_CHECKING:
    from .explanation import Facts


def hints(facts: "Facts", shown: Callable[..., str]) -> list[str]:
    """Return lines for people; ``shown`` spells a command line of ours for a shell."""
    task = facts.task
    if task.succeeded:
        return [f"its result: {shown('result', task.name)}"]
    if task.finished:
        duplicate = task.status.get("duplicateOf")
        if duplicate:
            return [f"the same work is done by {duplicate['name']}: {shown('why', duplicate['name'])}"]
        return [f"do it again: {shown('replay', task.name)}"]
    reason = task.cause[0] if task.cause else ""
    found = _by_reason(facts, reason, shown)
    if task.phase == "Running":
        found.append(f"follow it: {shown('follow', task.name)}")
    if not task.spec.get("cancel"):
        found.append(f"give it up: {shown('cancel', task.name)}")
    return found


def _by_reason(facts: "Facts", reason: str, shown: Callable[..., str]) -> list[str]:
    task = facts.task
    agent_type = task.spec["agentType"]
    match reason:
        case "Suspended":
            return [f"let it start: {shown('resume', task.name)}"]
        case "NoAgent":
            return [f"start agents of type {agent_type}: scale their AgentPool or Deployment up"]
        case "AgentsPaused":
            return _unpause(facts, shown)
        case "AgentsNotConsuming":
            return [
                "kubectl describe agent AGENT says why one takes no work; a restart of its Pod loses nothing"
            ]
        case "AgentsBusy" | "WaitingForAgent" if task.spec.get("priority", "normal") not in (
            "critical",
            "high",
        ):
            return [f"have it taken before others: {shown('priority', task.name, 'high')}"]
        case "DependencyMissing":
            missing = [name for name, found in facts.needed.items() if found is None]
            return [f"make {some(missing)}"] if missing else []
        case "WaitingForDependencies":
            return [
                f"why {name} has not finished: {shown('why', name)}"
                for name, found in facts.needed.items()
                if found is not None and not found.finished
            ][:3]
        case "BrokerUnreachable":
            return [f"see to the message broker: {shown('version')} says what the operator met"]
        case _:
            return []


def _unpause(facts: "Facts", shown: Callable[..., str]) -> list[str]:
    """Return how agents are let work again; each is paused by its own spec, or by Announcements."""
    agents = facts.agents or ()
    lines, by_spec = [], set()
    for command, member in (("unpause", "paused"), ("undrain", "drain")):
        names = [a["metadata"]["name"] for a in agents if a["spec"].get(member)]
        by_spec |= set(names)
        if names:
            lines.append(f"let agents work: {shown(command, *names[:5])}")
    if any(a["metadata"]["name"] not in by_spec for a in agents):
        lines.append("kubectl get announcements shows what pauses agents; deleting it lets them work")
    return lines
