"""Kubernetes Jobs whose Pods run on nodes that KWOK simulates."""

import itertools
from typing import Any

from .simulated import SIMULATED, TAINT

_numbers = itertools.count(1)


def collection(namespace: str) -> str:
    """Return the path of a namespace's Jobs."""
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def bodies(count: int) -> list[dict[str, Any]]:
    """Return Jobs of one Pod each, under names that were not there before."""
    return [_job(f"job-{next(_numbers)}") for _ in range(count)]


def _job(name: str) -> dict[str, Any]:
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "nodeSelector": SIMULATED,
        "tolerations": [{"key": TAINT["key"], "operator": "Exists"}],
        "containers": [{"name": "main", "image": "simulated"}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }


def done(job: dict[str, Any]) -> bool:
    """Return whether a Job is complete. :raises RuntimeError: it failed."""
    true = {c["type"] for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}
    if "Failed" in true:
        raise RuntimeError(f"Job {job['metadata']['name']} failed: {job['status']}")
    return "Complete" in true
