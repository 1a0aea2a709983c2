"""What clients do with Announcements: make, find and delete them.

A client that is limited to some agent types sees those that can concern an agent of its types, with the
agents it may know of; and makes, and deletes, only what is for its own types alone.
"""

import json
import re
from typing import Any

from pydantic_core import to_json

from harebell_crds import API_VERSION
from harebell_crds.announcement import AnnouncementSpec

from .cache import Cache
from .kube import Kind, Object, Store
from .kube_errors import ApiServerError, ApiServerUnreachableError, problem_for
from .models import AnnouncementRequest
from .permissions import Access
from .problems import FieldError, ProblemError, ProblemType
from .records import AgentRecord, AnnouncementRecord, announcement_record

DEFAULT_PREFIX = "announcement-"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Announcements:
    """The Announcements of one namespace: reads from the cache, writes to the API server."""

    def __init__(self, store: Store, cache: Cache[AnnouncementRecord], agents: Cache[AgentRecord]) -> None:
        self._store, self.cache, self._agents = store, cache, agents

    async def find(self, name: str, access: Access) -> AnnouncementRecord:
        """Return an Announcement. :raises ProblemError: there is none, as far as the client may know.

        What the cache does not have is asked of the API server: another replica may have made it just now.
        """
        found = self.cache.get(name) or await self._read(name)
        if not _visible(found, access, self._known(access)):
            raise _not_found(name)
        return found

    def seen(self, access: Access) -> list[AnnouncementRecord]:
        """Return the Announcements that exist for a client, in no order."""
        known = self._known(access)
        return [record for record in self.cache.values() if _visible(record, access, known)]

    async def make(self, request: AnnouncementRequest, access: Access) -> AnnouncementRecord:
        """Make an Announcement. :raises ProblemError: it cannot be made, or not by this client."""
        if not _own(request.agent_selector.types, access):
            detail = f"{access.client} makes announcements for agents of its own types only: name them"
            where = FieldError(detail, pointer="/agentSelector/types")
            raise ProblemError(ProblemType.SCOPE_NEEDED, detail, [where])
        try:
            return self._remember(await self._store.create(Kind.ANNOUNCEMENTS, manifest(request)))
        except (ApiServerError, ApiServerUnreachableError) as error:
            raise problem_for(error) from error

    async def delete(self, name: str, access: Access) -> None:
        """Delete an Announcement. :raises ProblemError: there is none, or this client may not."""
        found = await self.find(name, access)
        if not _own(found.types, access):
            detail = f"{access.client} deletes announcements that are for its own agent types only"
            raise ProblemError(ProblemType.SCOPE_NEEDED, detail)
        try:
            await self._store.delete(Kind.ANNOUNCEMENTS, found.name, found.uid)
        except (ApiServerError, ApiServerUnreachableError) as error:
            raise _problem(error, name) from error

    def shown(self, record: AnnouncementRecord, access: Access) -> bytes:
        """Return the document of an Announcement, with the agents that the client may know of."""
        known = self._known(access)
        if known is None:
            return record.body
        document: dict[str, Any] = json.loads(record.body)
        selector = document["agentSelector"]
        selector["names"] = [name for name in selector["names"] if name in known]
        document["acknowledgements"] = [a for a in document["acknowledgements"] if a["agent"] in known]
        document["pending"] = [name for name in document["pending"] if name in known]
        return to_json(document)

    def _known(self, access: Access) -> frozenset[str] | None:
        """Return the names of the agents that exist for a client. None: all."""
        if access.agent_types is None:
            return None
        return frozenset(agent.name for agent in self._agents.values() if access.sees(agent.agent_type))

    async def _read(self, name: str) -> AnnouncementRecord:
        if len(name) > 253 or not _NAME.fullmatch(name):
            raise _not_found(name)
        try:
            return self._remember(await self._store.read(Kind.ANNOUNCEMENTS, name))
        except (ApiServerError, ApiServerUnreachableError) as error:
            raise _problem(error, name) from error

    def _remember(self, announcement: Object) -> AnnouncementRecord:
        record = announcement_record(announcement)
        self.cache.remember(record)
        return record


def _visible(record: AnnouncementRecord, access: Access, known: frozenset[str] | None) -> bool:
    """Whether an Announcement exists for a client: it is for all agents, or can be for one it may know of."""
    return (not record.types or any(access.sees(agent_type) for agent_type in record.types)) and (
        known is None or not record.names or not known.isdisjoint(record.names)
    )


def manifest(request: AnnouncementRequest) -> dict[str, Any]:
    """Return the Announcement to create."""
    spec = request.model_dump(
        mode="json", by_alias=True, exclude_none=True, include=set(AnnouncementSpec.model_fields)
    )
    name = {"name": request.name} if request.name is not None else {}
    prefix = {} if name else {"generateName": request.generate_name or DEFAULT_PREFIX}
    return {"apiVersion": API_VERSION, "kind": "Announcement", "metadata": {**name, **prefix}, "spec": spec}


def _own(types: tuple[str, ...], access: Access) -> bool:
    """Whether what is for these types (none: for all) is for types of the client alone."""
    return access.agent_types is None or (bool(types) and all(access.sees(t) for t in types))


def _problem(error: ApiServerError | ApiServerUnreachableError, name: str) -> ProblemError:
    if isinstance(error, ApiServerError) and error.status == 404:
        return _not_found(name)
    return problem_for(error)


def _not_found(name: str) -> ProblemError:
    return ProblemError(ProblemType.NOT_FOUND, f"there is no Announcement {name[:253]}")
