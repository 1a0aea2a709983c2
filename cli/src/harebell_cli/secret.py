"""The Secret that keeps the keys, read and patched with the rights of whoever calls.

By path, through the official client's ``ApiClient``: its ``CoreV1Api`` takes seconds to load.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import urllib3
from kubernetes import client, config

from .errors import CommandError

_ANSWER_SECONDS = 15
_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""There wherever the token is, which the client library has read before."""
_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True)
class Stored:
    """What a Secret holds, and the version in which it was read."""

    version: str
    entries: Mapping[str, bytes]


class Conflict(Exception):
    """The Secret is not in the version any more that a change was meant for."""


class KeyStore(Protocol):
    """Where the entries of keys are."""

    def read(self) -> Stored:
        """Return what is there. :raises CommandError: it cannot be read."""
        ...

    def write(self, entries: Mapping[str, bytes], version: str | None = None) -> None:
        """Add or replace entries; the others stay.

        :raises Conflict: ``version`` is given, and what is there is another.
        :raises CommandError: they cannot be written.
        """
        ...


class KeySecret:
    """A :class:`KeyStore` in Kubernetes."""

    def __init__(self, connection: "Connection", namespace: str, name: str) -> None:
        self._connection, self._namespace, self._name = connection, namespace, name
        self._path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets/{quote(name, safe='')}"

    def read(self) -> Stored:
        """See :class:`KeyStore`."""
        secret = self._call("GET", "read")
        entries = {name: base64.b64decode(value) for name, value in (secret.get("data") or {}).items()}
        return Stored(str(secret["metadata"]["resourceVersion"]), entries)

    def write(self, entries: Mapping[str, bytes], version: str | None = None) -> None:
        """See :class:`KeyStore`."""
        patch: dict[str, Any] = {
            "data": {name: base64.b64encode(value).decode() for name, value in entries.items()}
        }
        if version is not None:
            patch["metadata"] = {"resourceVersion": version}
        self._call("PATCH", "change", patch)

    def _call(self, method: str, verb: str, patch: Mapping[str, Any] | None = None) -> dict[str, Any]:
        what = f"Secret {self._name} in namespace {self._namespace}"
        status, answer = self._connection.call(method, self._path, patch)
        if status < 300:
            return answer
        said = str(answer.get("message") or f"status {status}")
        match status:
            case 404:
                raise CommandError(
                    f"there is no {what}. Name the namespace with -n, and the Secret with --secret, or the"
                    " release with --release"
                )
            case 409:
                raise Conflict(said)
            case 401 | 403:
                raise CommandError(f"you may not {verb} {what}: {said}")
            case _:
                raise CommandError(f"cannot {verb} {what}: {said}")


class Connection:
    """The API server of a kubeconfig, or of the cluster this runs in."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._api, self.namespace = api, namespace

    def call(self, method: str, path: str, patch: Mapping[str, Any] | None) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON of an answer. :raises CommandError: there is none."""
        headers = {"Accept": "application/json", "Content-Type": _MERGE_PATCH}
        try:
            verb, url, sent, body, _ = self._api.param_serialize(
                method, path, header_params=headers, body=patch, auth_settings=["BearerToken"]
            )
            response = self._api.call_api(verb, url, sent, body, _request_timeout=_ANSWER_SECONDS)
            text = response.read()  # type: ignore[no-untyped-call]
        except (client.ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise CommandError(f"the Kubernetes API server cannot be reached: {error}") from error
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {}
        return int(response.status), answer if isinstance(answer, dict) else {}


def connect(context: str | None) -> Connection:
    """Return a connection by the kubeconfig, else as the Pod that this runs in.

    Its namespace is that of the context, or of the Pod. :raises CommandError: there is no cluster to talk to.
    """
    configuration = client.Configuration()
    try:
        config.load_kube_config(context=context, client_configuration=configuration)  # type: ignore[no-untyped-call]
        contexts, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
        chosen = next((c for c in contexts if c["name"] == context), current)
        namespace = chosen["context"].get("namespace") or "default"
    except config.ConfigException as error:
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            raise CommandError(f"no cluster to talk to: {error}") from error
        namespace = _ACCOUNT_NAMESPACE.read_text().strip()
    return Connection(client.ApiClient(configuration), namespace)
