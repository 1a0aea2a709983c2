"""Waiting for a condition of an object to be true, as ``kubectl wait`` does."""

from .resources import Kind, Object, Watched
from .watching import Deadline, follow


def is_true(found: Object, condition: str) -> bool:
    """Return whether an object has a condition, for what its spec says now, and it is true."""
    for each in (found.get("status") or {}).get("conditions") or ():
        if each["type"] == condition:
            observed = each.get("observedGeneration")
            current = observed is None or observed >= found["metadata"]["generation"]
            return bool(current and each["status"] == "True")
    return False


def wait_for(resources: Watched, kind: Kind, name: str, condition: str, deadline: Deadline) -> bool:
    """Return True when the condition is true, or False when the object is gone.

    :raises TimeIsUpError: the deadline is over.
    :raises CommandError: it may not be watched, or the API server is away.
    """
    for found in follow(resources, kind, name, deadline, lambda words: None):
        if found is None:
            return False
        if is_true(found, condition):
            return True
    return False
