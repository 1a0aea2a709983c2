"""The documents clients send and get. camelCase, as in the resources; a member without a value is null.

Answers are built from the resources in :mod:`harebell_api.records` without validating them again; the models
here describe them in the OpenAPI document, and the tests hold the two together.
"""

from .agent import AgentDocument, AgentList
from .announcement import AnnouncementDocument, AnnouncementPage, AnnouncementRequest
from .batch import BatchAnswer, BatchEntry, BatchRequest, BatchResult
from .changes import CancelRequest, PriorityRequest, ReplayRequest
from .dispatch import DispatchRequest, compact_json
from .parameters import AgentQuery, AnnouncementQuery, HistoryQuery, MessageQuery, StreamQuery, TaskQuery
from .past import MessageDocument, MessagePage, PastTaskDocument, PastTaskPage
from .problem import ProblemDocument
from .queue import QueueDocument, QueueList
from .stream import StreamMessage
from .task import ReplayList, ReplayResult, TaskDocument, TaskPage, TaskStatusDocument

__all__ = [
    "AgentDocument",
    "AgentList",
    "AgentQuery",
    "AnnouncementDocument",
    "AnnouncementPage",
    "AnnouncementQuery",
    "AnnouncementRequest",
    "BatchAnswer",
    "BatchEntry",
    "BatchRequest",
    "BatchResult",
    "CancelRequest",
    "DispatchRequest",
    "HistoryQuery",
    "MessageDocument",
    "MessagePage",
    "MessageQuery",
    "PastTaskDocument",
    "PastTaskPage",
    "PriorityRequest",
    "ProblemDocument",
    "QueueDocument",
    "QueueList",
    "ReplayList",
    "ReplayRequest",
    "ReplayResult",
    "StreamMessage",
    "StreamQuery",
    "TaskDocument",
    "TaskPage",
    "TaskQuery",
    "TaskStatusDocument",
    "compact_json",
]
