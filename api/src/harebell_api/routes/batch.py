"""Dispatching several Tasks in one request."""

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from harebell_api.audit import note
from harebell_api.batches import Batches, Entry
from harebell_api.kube import Kind
from harebell_api.limits import BATCH
from harebell_api.models import BatchAnswer, BatchRequest
from harebell_api.permissions import Client, Scope, needs
from harebell_api.responses import problems

from .answers import json_answer


def batch_routes(batches: Batches) -> APIRouter:
    """Return the route of batches."""
    router = APIRouter(tags=["tasks"])

    @router.post(
        BATCH,
        operation_id="dispatchTasks",
        summary="Submit up to 100 Tasks, each answered for by itself; all-or-nothing is not offered",
        response_model=BatchAnswer,
        responses={200: {"description": "What became of each."}, **problems(400, 413, 415, 422)},
        dependencies=[needs(Scope.DISPATCH)],
    )
    async def dispatch_batch(asked: Request, batch: BatchRequest, client: Client) -> Response:
        results = await batches.dispatch(batch.tasks, client)
        note(asked, Kind.TASKS, *(result.made.task.name for result in results if result.made is not None))
        accepted = sum(result.made is not None for result in results)
        items = b",".join(_item(result) for result in results)
        counts = b',"accepted":%d,"refused":%d}' % (accepted, len(results) - accepted)
        return json_answer(b'{"items":[' + items + b"]" + counts)

    return router


def _item(result: Entry) -> bytes:
    """Return an entry as :class:`.models.BatchResult` describes it."""
    if result.made is not None:
        replayed = b"true" if result.made.replayed else b"false"
        return b'{"status":202,"replayed":%b,"problem":null,"task":%b}' % (replayed, result.made.task.body)
    assert result.problem is not None
    document = {
        "status": result.problem.type.status,
        "replayed": False,
        "task": None,
        "problem": result.problem.document(BATCH),
    }
    return to_json(document)
