"""Objects read over a connection that stays, for tests that look again and again.

kubectl is a process that takes a processor for a tenth of a second, and who waits for something asks five
times a second.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import urllib3
from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

_OURS = "/apis/harebell.dev/v1alpha1"
KINDS = {
    "task": (_OURS, "tasks"),
    "agent": (_OURS, "agents"),
    "agentpool": (_OURS, "agentpools"),
    "announcement": (_OURS, "announcements"),
    "bus": (_OURS, "buses"),
    "event": ("/api/v1", "events"),
    "pod": ("/api/v1", "pods"),
    "secret": ("/api/v1", "secrets"),
    "service": ("/api/v1", "services"),
    "lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "statefulset": ("/apis/apps/v1", "statefulsets"),
}
"""Those that can be read so, all of them in namespaces: the group's path, and the plural."""
SELECTORS = {"-l": "labelSelector", "--field-selector": "fieldSelector"}


class NotReadError(Exception):
    """The API server refused, or did not answer; the text says why."""


def place(kind: str, namespace: str) -> str | None:
    """Return the path of a namespace's objects of a kind, in either number; None: not for this module."""
    for singular, (group, plural) in KINDS.items():
        if kind in (singular, plural):
            return f"{group}/namespaces/{namespace}/{plural}"
    return None


def query(*arguments: str) -> dict[str, str] | None:
    """Return the parameters that kubectl's arguments stand for; None: they say more than selectors."""
    names, values = arguments[::2], arguments[1::2]
    if len(names) != len(values) or not set(names) <= SELECTORS.keys():
        return None
    return {SELECTORS[name]: value for name, value in zip(names, values, strict=True)}


def read(kubeconfig: Path, path: str, parameters: dict[str, str]) -> dict[str, Any]:
    """Return what is at a path of the API server. :raises NotReadError: it was not to be had."""
    client = _client(kubeconfig)
    request = client.param_serialize(
        "GET", path, query_params=list(parameters.items()), auth_settings=["BearerToken"]
    )
    try:
        response = client.call_api(*request, _request_timeout=60)
        body: bytes = response.read()  # type: ignore[no-untyped-call]
    except urllib3.exceptions.HTTPError as error:
        raise NotReadError(str(error)) from error
    if response.status != 200:
        raise NotReadError(f"{path}: {response.status} {body.decode(errors='replace')}")
    found: dict[str, Any] = json.loads(body)
    return found


@cache
def _client(kubeconfig: Path) -> ApiClient:
    client: ApiClient = new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]
    return client
