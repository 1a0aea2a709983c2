"""Announcements: their list, each of them with who knows of it, and making and deleting them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from harebell_api.announcements import Announcements, visible
from harebell_api.models import AnnouncementDocument, AnnouncementPage, AnnouncementQuery, AnnouncementRequest
from harebell_api.openapi import fresh, problems
from harebell_api.permissions import Scope, access_of, needs
from harebell_api.queries import AnnouncementFilter, newest

from .answers import changed_answer, page_body, read_answer
from .cursors import cursor_of, place_after
from .parameters import AnnouncementName, IfNoneMatch

_PATH = "/api/v1/announcements"


def announcement_routes(announcements: Announcements) -> APIRouter:
    """Return the routes of Announcements."""
    router = APIRouter(prefix=_PATH, tags=["announcements"])
    cache = announcements.cache

    @router.get(
        "",
        operation_id="listAnnouncements",
        summary="List Announcements, newest first, with who knows of them and who does not",
        response_model=AnnouncementPage,
        responses={**fresh(tagged=True), **problems(400, 403, 422)},
        dependencies=[needs(Scope.READ)],
    )
    async def list_announcements(
        request: Request, query: Annotated[AnnouncementQuery, Query()], if_none_match: IfNoneMatch = None
    ) -> Response:
        access = access_of(request)
        wanted = AnnouncementFilter(
            kinds=frozenset(kind.value for kind in query.kind),
            phases=frozenset(phase.value for phase in query.phase),
        )
        known = [a for a in cache.values() if visible(a, access)]
        shown, place = newest(known, wanted, query.limit, place_after(query.cursor))
        documents = (announcements.shown(a, access) for a in shown)
        return read_answer(page_body(documents, nextCursor=cursor_of(place)), if_none_match, cache)

    @router.get(
        "/{name}",
        operation_id="getAnnouncement",
        summary="Show an Announcement, with who knows of it and who does not",
        response_model=AnnouncementDocument,
        responses={**fresh(tagged=True), **problems(403, 404, 422, 503)},
        dependencies=[needs(Scope.READ)],
    )
    async def get_announcement(
        request: Request, name: AnnouncementName, if_none_match: IfNoneMatch = None
    ) -> Response:
        access = access_of(request)
        found = await announcements.find(name, access)
        body = announcements.shown(found, access)
        return read_answer(body, if_none_match, cache, version=found.version)

    @router.post(
        "",
        operation_id="makeAnnouncement",
        summary="Tell agents something, or have them pause; deleted or expired, it ends",
        status_code=201,
        response_model=AnnouncementDocument,
        responses={
            201: {
                "description": "The Announcement.",
                "headers": {
                    "Location": {"description": "Where it is.", "schema": {"type": "string"}},
                },
            },
            **problems(400, 403, 409, 413, 415, 422, 503),
        },
        dependencies=[needs(Scope.ADMIN)],
    )
    async def make_announcement(request: Request, wanted: AnnouncementRequest) -> Response:
        made = await announcements.make(wanted, access_of(request))
        return changed_answer(made, 201, {"Location": f"{_PATH}/{made.name}"})

    @router.delete(
        "/{name}",
        operation_id="deleteAnnouncement",
        summary="End an Announcement; a Pause that is deleted holds no longer",
        status_code=204,
        responses={204: {"description": "It is deleted."}, **problems(403, 404, 409, 422, 503)},
        dependencies=[needs(Scope.ADMIN)],
    )
    async def delete_announcement(request: Request, name: AnnouncementName) -> Response:
        await announcements.delete(name, access_of(request))
        return Response(status_code=204)

    return router
