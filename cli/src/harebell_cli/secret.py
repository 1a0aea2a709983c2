"""The Secret that keeps the keys, read and patched with the rights of whoever calls."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from .errors import CommandError

if TYPE_CHECKING:
    from .connection import Connection


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
