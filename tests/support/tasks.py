"""What tests ask of Tasks."""

from collections.abc import Iterable
from typing import Any

from .kubectl import Kubectl


def statuses(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    """Return the status of every Task of the namespace, by name."""
    return {task["metadata"]["name"]: task.get("status", {}) for task in kubectl.items("tasks")}


def all_in(phase: str, kubectl: Kubectl, names: Iterable[str]) -> bool:
    """Return whether all Tasks of these names are in a phase."""
    found = statuses(kubectl)
    return all(found[name].get("phase") == phase for name in names)


def prioritize(kubectl: Kubectl, name: str, priority: str) -> None:
    """Change a Task's priority. :raises CommandFailed: that was refused."""
    kubectl("patch", "task", name, "--type=merge", "-p", f'{{"spec":{{"priority":"{priority}"}}}}')
