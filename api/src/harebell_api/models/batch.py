"""Several Tasks in one request, each answered for by itself."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from .dispatch import DispatchRequest
from .document import Document
from .problem import ProblemDocument
from .task import TaskDocument

MAX_BATCH = 100


class BatchEntry(DispatchRequest):
    """One Task of a batch."""

    idempotency_key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            pattern=r"^[\x20-\x7e]+$",
            description="A value of the client's choice, as the header Idempotency-Key of a single dispatch.",
        ),
    ] = None  # type: ignore[assignment]


class BatchRequest(BaseModel):
    """The Tasks to make."""

    model_config = ConfigDict(extra="forbid")

    tasks: Annotated[
        list[Annotated[BatchEntry, SkipValidation]],
        Field(
            min_length=1,
            max_length=MAX_BATCH,
            description="The Tasks. Each is looked at by itself: a wrong one does not hinder the others.",
        ),
    ]


class BatchResult(Document):
    """What became of one entry: a Task, or a problem."""

    status: Annotated[
        int, Field(description="What a dispatch of this Task alone would have been answered with.")
    ]
    replayed: Annotated[
        bool, Field(description="Whether an earlier request with the same idempotencyKey made the Task.")
    ]
    task: Annotated[TaskDocument | None, Field(description="The Task.")]
    problem: Annotated[
        ProblemDocument | None,
        Field(description="Why there is none; pointers lead from the top of the request."),
    ]


class BatchAnswer(Document):
    """What became of each Task, in the order of the request."""

    items: Annotated[list[BatchResult], Field(description="One entry for each of the request.")]
    accepted: Annotated[int, Field(description="How many have a Task.")]
    refused: Annotated[int, Field(description="How many have a problem.")]
