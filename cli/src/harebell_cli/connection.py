"""The API server, called with the kubeconfig and the rights of whoever calls.

By path, through the official client's ``ApiClient``: its generated classes take seconds to load.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes import client, config

from .errors import CommandError, LostError, UnreachableError

MERGE_PATCH = "application/merge-patch+json"
_ANSWER_SECONDS = 15
_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""There wherever the token is, which the client library has read before."""


logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of each try; what came of them is said once


class Answer(NamedTuple):
    """What the API server said."""

    status: int
    body: dict[str, Any]
    """Empty where it was no JSON object."""


class Connection:
    """The API server of a kubeconfig, or of the cluster this runs in."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._api, self.namespace = api, namespace

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = MERGE_PATCH,
    ) -> Answer:
        """Return the answer to a request. :raises UnreachableError: there is none."""
        with self._sent(method, path, body, query, content_type, _ANSWER_SECONDS) as response:
            return Answer(int(response.status), _object(response.data))

    def stream(self, path: str, query: Mapping[str, str], silence: float) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects, one a line, of an answer that goes on.

        :param silence: seconds after which a connection that brings nothing is given up.
        :raises StreamRefused: it is no success.
        :raises LostError: it was cut off, or never came.
        """
        try:
            with self._sent("GET", path, None, query, MERGE_PATCH, silence) as response:
                if response.status >= 300:
                    raise StreamRefused(Answer(int(response.status), _object(response.data)))
                for line in _lines(response):
                    if not (found := _object(line)):
                        raise LostError("the API server's answer was cut off")
                    yield found
        except UnreachableError as error:
            raise LostError(str(error)) from error

    @contextmanager
    def _sent(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
        content_type: str,
        seconds: float,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        where = f"{path}?{urlencode(query)}" if query else path
        try:
            verb, url, sent, content, _ = self._api.param_serialize(
                method, where, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            timeout = (min(seconds, _ANSWER_SECONDS), seconds)
            answered = self._api.call_api(verb, url, sent, content, _request_timeout=timeout)
            response = answered.response
            try:
                yield response
            finally:
                # What was not read is not worth reading: the connection goes.
                response.close()
        except (client.ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            host = self._api.configuration.host
            raise UnreachableError(
                f"the Kubernetes API server cannot be reached at {host}: {_cause(error)}"
            ) from error


class StreamRefused(Exception):
    """The API server refused to begin an answer that goes on."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def connect(context: str | None, kubeconfig: str | None = None) -> Connection:
    """Return a connection by the kubeconfig, else as the Pod that this runs in.

    Its namespace is that of the context, or of the Pod. :raises CommandError: there is no cluster to talk to.
    """
    configuration = client.Configuration()
    try:
        config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, context=context, client_configuration=configuration
        )
        contexts, current = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
        chosen = next((c for c in contexts if c["name"] == context), current)
        namespace = chosen["context"].get("namespace") or "default"
    except config.ConfigException as error:
        try:
            if context or kubeconfig:
                raise
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            raise CommandError(
                f"no cluster to talk to: {error}. Name a kubeconfig with --kubeconfig or KUBECONFIG, and its"
                " context with --context"
            ) from error
        namespace = _ACCOUNT_NAMESPACE.read_text().strip()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        # The client library looks into the file as if it could be nothing but good.
        raise CommandError(f"the kubeconfig cannot be used: {type(error).__name__}: {error}") from error
    return Connection(client.ApiClient(configuration), namespace)


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the lines of an answer as they come; what is left without an end is a line too."""
    rest = b""
    for chunk in response.stream(amt=None):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _cause(error: BaseException) -> str:
    """Return what lies under the layers of an error, as its innermost part says it."""
    while inner := getattr(error, "reason", None) or error.__cause__:
        if not isinstance(inner, BaseException):
            return str(inner)
        error = inner
    said = str(error).rpartition(": ")[2] if isinstance(error, urllib3.exceptions.HTTPError) else str(error)
    return said or type(error).__name__
