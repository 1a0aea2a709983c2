"""Announcements: their list, each of them with who knows of it, and making and deleting them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from harebell_api.announcements import Announcements
from harebell_api.audit import note
from harebell_api.kube import Kind
from harebell_api.models import AnnouncementDocument, AnnouncementPage, AnnouncementQuery, AnnouncementRequest
from harebell_api.permissions import Client, Scope, needs
from harebell_api.queries import AnnouncementFilter, newest
from harebell_api.responses import changed, fresh, problems

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
        responses={**fresh(tagged=True), **problems(400, 422)},
        dependencies=[needs(Scope.READ)],
    )
    async def list_announcements(
        query: Annotated[AnnouncementQuery, Query()], client: Client, if_none_match: IfNoneMatch = None
    ) -> Response:
        wanted = AnnouncementFilter(
            kinds=frozenset(kind.value for kind in query.kind),
            phases=frozenset(phase.value for phase in query.phase),
        )
        seen = announcements.seen(client)
        shown, place = newest(seen, wanted, query.limit, place_after(query.cursor))
        documents = (announcements.shown(a, client) for a in shown)
        return read_answer(page_body(documents, nextCursor=cursor_of(place)), if_none_match, cache)

    @router.get(
        "/{name}",
        operation_id="getAnnouncement",
        summary="Show an Announcement, with who knows of it and who does not",
        response_model=AnnouncementDocument,
        responses={**fresh(tagged=True), **problems(404, 422, 503)},
        dependencies=[needs(Scope.READ)],
    )
    async def get_announcement(
        name: AnnouncementName, client: Client, if_none_match: IfNoneMatch = None
    ) -> Response:
        found = await announcements.find(name, client)
        body = announcements.shown(found, client)
        return read_answer(body, if_none_match, cache, version=found.version)

    @router.post(
        "",
        operation_id="makeAnnouncement",
        summary="Tell agents something, or have them pause; deleted or expired, it ends",
        status_code=201,
        response_model=AnnouncementDocument,
        responses={
            **changed(201, "The Announcement.", Location="Where it is."),
            **problems(400, 409, 413, 415, 422, 503),
        },
        dependencies=[needs(Scope.ADMIN)],
    )
    async def make_announcement(asked: Request, wanted: AnnouncementRequest, client: Client) -> Response:
        made = await announcements.make(wanted, client)
        note(asked, Kind.ANNOUNCEMENTS, made.name)
        return changed_answer(made, 201, {"Location": f"{_PATH}/{made.name}"})

    @router.delete(
        "/{name}",
        operation_id="deleteAnnouncement",
        summary="End an Announcement; a Pause that is deleted holds no longer",
        status_code=204,
        responses={204: {"description": "It is deleted."}, **problems(404, 409, 422, 503)},
        dependencies=[needs(Scope.ADMIN)],
    )
    async def delete_announcement(asked: Request, name: AnnouncementName, client: Client) -> Response:
        note(asked, Kind.ANNOUNCEMENTS, name)
        await announcements.delete(name, client)
        return Response(status_code=204)

    return router
