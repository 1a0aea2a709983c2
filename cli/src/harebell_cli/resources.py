"""harebell's resources in one namespace, read and written with the rights of whoever calls."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from harebell_crds import GROUP, VERSION

from .connection import MERGE_PATCH, Answer, Connection, StreamRefused
from .errors import RefusedError
from .refusals import refusal

Object = Mapping[str, Any]
"""A resource as the API server sends it."""

_PAGE = "500"


class Kind(StrEnum):
    """What this works with, by the plural in the path."""

    TASKS = "tasks"
    AGENTS = "agents"
    ANNOUNCEMENTS = "announcements"
    BUSES = "buses"


class Found(NamedTuple):
    """A list, and the version of the cluster that it shows."""

    items: list[Object]
    version: str


class Watched(Protocol):
    """What following one object needs; see :class:`Resources`."""

    @property
    def namespace(self) -> str:
        """Where it is."""
        ...

    def select(self, kind: Kind, *, name: str = "") -> Found:
        """Return the object of a name, if there is one."""
        ...

    def watch(self, kind: Kind, name: str, version: str, seconds: int, silence: float) -> Iterator[Object]:
        """Yield what happened to it after ``version``."""
        ...


class Resources:
    """Every method raises RefusedError or UnreachableError; both say what to do."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection, self._namespace = connection, namespace
        self._in_namespace = f"namespaces/{quote(namespace, safe='')}"

    @property
    def namespace(self) -> str:
        """Where they are."""
        return self._namespace

    def read(self, kind: Kind, name: str) -> Object:
        """Return an object. :raises RefusedError: also, with the status 404, there is none."""
        return self._call("GET", kind, name, "read")

    def find(self, kind: Kind, name: str) -> Object | None:
        """Return an object, or None: there is none of that name."""
        try:
            return self.read(kind, name)
        except RefusedError as error:
            if error.reason == "NotFound":
                return None
            raise

    def select(self, kind: Kind, *, name: str = "", selector: str = "", everywhere: bool = False) -> Found:
        """Return the objects, by label selector if one is given; ``everywhere``: of all namespaces."""
        query = {"limit": _PAGE}
        if name:  # so it is a request for this name: a Role may grant it with resourceNames
            query["fieldSelector"] = f"metadata.name={name}"
        if selector:
            query["labelSelector"] = selector
        items: list[Object] = []
        while True:
            page = self._call("GET", kind, "", "list", query=query, everywhere=everywhere)
            items += page.get("items") or []
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return Found(items, str(metadata["resourceVersion"]))
            query["continue"] = metadata["continue"]

    def create(self, kind: Kind, manifest: Object, *, dry_run: bool = False) -> Object:
        """Create an object and return it. ``dry_run``: only have the API server say what it would do."""
        return self._call("POST", kind, "", "create", manifest, _trying(dry_run), "application/json")

    def patch(self, kind: Kind, known: Object, patch: Object, *, dry_run: bool = False) -> Object:
        """Apply a JSON merge patch to an object that is known, not to another of its name; return it."""
        metadata = {**patch.get("metadata", {}), "uid": known["metadata"]["uid"]}
        body = {**patch, "metadata": metadata}
        return self._call("PATCH", kind, known["metadata"]["name"], "change", body, _trying(dry_run))

    def watch(self, kind: Kind, name: str, version: str, seconds: int, silence: float) -> Iterator[Object]:
        """Yield the events of one object after ``version``, also bookmarks and errors, for this long.

        :param silence: seconds after which a connection that brings nothing is given up.
        :raises LostError: the connection was lost.
        """
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        try:
            yield from self._connection.stream(self._path(kind), query, silence)
        except StreamRefused as refused:
            raise self._refusal(refused.answer, "watch", kind, name) from refused

    def events_of(self, uid: str) -> list[Object]:
        """Return the Events of an object, in no order."""
        path = f"/api/v1/{self._in_namespace}/events"
        query = {"fieldSelector": f"involvedObject.uid={uid}", "limit": _PAGE}
        answer = self._connection.call("GET", path, query=query)
        if answer.status >= 300:
            raise refusal(answer, "list", "events", "", self._namespace)
        return list(answer.body.get("items") or [])

    def _call(
        self,
        method: str,
        kind: Kind,
        name: str,
        verb: str,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = MERGE_PATCH,
        everywhere: bool = False,
    ) -> dict[str, Any]:
        path = self._path(kind, name, everywhere)
        answer = self._connection.call(method, path, body, query, content_type)
        if answer.status >= 300 or not answer.body:
            meant = name or ((body or {}).get("metadata") or {}).get("name", "")
            raise self._refusal(answer, verb, kind, meant)
        return answer.body

    def _refusal(self, answer: Answer, verb: str, kind: Kind, name: str) -> RefusedError:
        return refusal(answer, verb, kind.value, name, self._namespace)

    def _path(self, kind: Kind, name: str = "", everywhere: bool = False) -> str:
        within = "" if everywhere else f"/{self._in_namespace}"
        return f"/apis/{GROUP}/{VERSION}{within}/{kind}" + (f"/{quote(name, safe='')}" if name else "")


def _trying(dry_run: bool) -> Mapping[str, str]:
    return {"dryRun": "All"} if dry_run else {}
