"""Requests and their answers, as the OpenAPI document shows them: one at least for every operation.

The tests send every request to an API that has the resources of :mod:`.samples`, and hold requests and
answers against the schemas.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import to_json

from .conditional import etag
from .feed.cursor import OneTask, digest
from .feed.message import of_task
from .models.dispatch import DEPLOY
from .problems import FieldError, Problem, ProblemType
from .records import agent_document, announcement_document, task_document, task_record
from .samples import AGENT, ANNOUNCEMENT, FAILED, MESSAGE, WAITING

_WAITING: Final = task_document(WAITING)
_FAILED: Final = task_document(FAILED)
_AGENT: Final = agent_document(AGENT)
_ANNOUNCEMENT: Final = announcement_document(ANNOUNCEMENT)
_WAITS: Final = {"task_id": _WAITING["name"]}
_IS_AGENT: Final = {"name": _AGENT["name"]}
_IS_ANNOUNCEMENT: Final = {"name": _ANNOUNCEMENT["name"]}
_RECORD: Final = task_record(WAITING)
_TAG: Final = etag(_RECORD.body, _RECORD.version)
_TOLD: Final = OneTask(
    digest("task", _FAILED["namespace"], _FAILED["name"]), _FAILED["uid"], int(_FAILED["resourceVersion"])
)
_WORK: Final = {
    "agentType": "text",
    "action": "text.stats",
    "payload": {"text": "the quick brown fox"},
    "labels": {"team": "web"},
}


@dataclass(frozen=True)
class Example:
    """A request, and what it is answered with."""

    answer: Any
    """The document, or the text of events; None: there is no content."""
    status: int = 200
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """By name, in the path, the query and the headers."""
    body: Any = None
    """None: none is sent."""


def _page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "nextCursor": None}


def _made(name: str, **more: Any) -> dict[str, Any]:
    """Return a Task as it is answered right after it was made."""
    begun: dict[str, Any] = {
        "phase": "Pending",
        "reason": None,
        "attempt": 0,
        "queuedAt": None,
        "conditions": [],
    }
    return {**_WAITING, **begun, "taskId": name, "name": name, **more}


_REFUSED: Final = Problem(
    ProblemType.INVALID,
    "/agentType: Field required",
    (FieldError("Field required", pointer="/tasks/1/agentType"),),
)

EXAMPLES: Final[Mapping[str, Mapping[str, Example]]] = {
    "dispatchTask": {
        "work": Example(_made("task-x7k2p"), 202, body=_WORK),
        "repeatable": Example(
            _made(
                "deploy-web-42",
                agentType="infra",
                action="deploy",
                priority="high",
                persistence="Disk",
                retryPolicy={**_WAITING["retryPolicy"], "maxRetries": 1},
                activeDeadlineSeconds=600,
                dependsOn=[{"name": "build-web-42", "condition": "Succeeded"}],
            ),
            202,
            {"idempotency-key": "order-17"},
            DEPLOY,
        ),
    },
    "dispatchTasks": {
        "two": Example(
            {
                "items": [
                    {"status": 202, "replayed": False, "task": _made("task-q9w3e"), "problem": None},
                    {
                        "status": 422,
                        "replayed": False,
                        "task": None,
                        "problem": _REFUSED.document("/api/v1/dispatch/batch"),
                    },
                ],
                "accepted": 1,
                "refused": 1,
            },
            body={
                "tasks": [{**_WORK, "idempotencyKey": "page-1"}, {**_WORK, "action": "", "priority": "low"}]
            },
        )
    },
    "getTask": {
        "waiting": Example(
            {**_WAITING, "queue": {"position": 1, "ahead": 0, "estimatedStartSeconds": 0}},
            parameters=_WAITS,
        ),
        "unchanged": Example(None, 304, {**_WAITS, "if-none-match": "*"}),
    },
    "listTasks": {
        "web": Example(
            _page(_WAITING),
            parameters={"phase": ["Queued"], "label_selector": "team=web", "limit": 50},
        )
    },
    "prioritizeTask": {
        "urgent": Example(
            {**_WAITING, "priority": "critical"}, parameters=_WAITS, body={"priority": "critical"}
        )
    },
    "cancelTask": {
        "gracefully": Example({**_WAITING, "cancel": "Graceful"}, 202, _WAITS),
        "at-once": Example({**_WAITING, "cancel": "Immediate"}, 202, _WAITS, {"mode": "Immediate"}),
    },
    "suspendTask": {
        "as-seen": Example({**_WAITING, "suspend": True}, 202, {**_WAITS, "if-match": _TAG}),
    },
    "resumeTask": {"any": Example(_WAITING, 202, _WAITS)},
    "replayTask": {
        "failed": Example(
            _made("import-orders-r1", replayOf={"name": _FAILED["name"], "uid": _FAILED["uid"]}),
            202,
            {"task_id": _FAILED["name"]},
        )
    },
    "replayTasks": {
        "web": Example(
            {
                "items": [{"taskId": _FAILED["name"], "replayedAs": "import-orders-r1", "problem": None}],
                "nextCursor": None,
            },
            202,
            body={"labelSelector": "team=web", "agentTypes": ["text"]},
        )
    },
    "listAgents": {
        "online": Example({"items": [_AGENT]}, parameters={"agent_type": ["text"], "status": ["Online"]})
    },
    "getAgent": {"one": Example(_AGENT, parameters=_IS_AGENT)},
    "pauseAgent": {"one": Example({**_AGENT, "paused": True}, 202, _IS_AGENT)},
    "resumeAgent": {"one": Example(_AGENT, 202, _IS_AGENT)},
    "drainAgent": {"one": Example({**_AGENT, "drain": True}, 202, _IS_AGENT)},
    "undrainAgent": {"one": Example(_AGENT, 202, _IS_AGENT)},
    "listAnnouncements": {"pauses": Example(_page(_ANNOUNCEMENT), parameters={"kind": ["Pause"]})},
    "getAnnouncement": {"one": Example(_ANNOUNCEMENT, parameters=_IS_ANNOUNCEMENT)},
    "makeAnnouncement": {
        "pause": Example(
            {
                **_ANNOUNCEMENT,
                **{"name": "announcement-8s2kd", "phase": None, "targeted": None, "acknowledged": None},
                **{"acknowledgements": [], "pending": []},
            },
            201,
            body=ANNOUNCEMENT["spec"],
        )
    },
    "deleteAnnouncement": {"one": Example(None, 204, _IS_ANNOUNCEMENT)},
    "listHistory": {
        "failed": Example(
            _page(
                {
                    **_FAILED,
                    "resourceVersion": None,
                    "source": "archive",
                    "removedAt": "2026-01-26T12:00:02.000000Z",
                }
            ),
            parameters={
                "phase": ["Failed", "DeadLettered"],
                "agent_type": ["text"],
                "from": "2026-01-01T00:00:00Z",
            },
        )
    },
    "getHistory": {"messages": Example(_page(MESSAGE), parameters={"task_id": _FAILED["name"]})},
    "followTasks": {
        "one": Example(
            "retry: 2000\n\n" + of_task("snapshot", _TOLD, to_json(_FAILED)).event.decode(),
            parameters={"task_id": _FAILED["name"]},
        )
    },
    "listQueues": {
        "all": Example(
            {
                "items": [
                    {
                        "agentType": "text",
                        "waiting": {"critical": 0, "high": 0, "normal": 1, "low": 0, "background": 0},
                        "running": 0,
                        "oldestWaitingSeconds": 3.5,
                        "agents": {"online": 1, "idle": 1, "paused": 0, "notConsuming": 0},
                    }
                ]
            }
        )
    },
}
"""By the operation's id, and by a name of the example."""
