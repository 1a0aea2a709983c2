"""What an answer is when something went wrong."""

from typing import Annotated

from pydantic import BaseModel, Field


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    class Entry(BaseModel):
        """What is wrong with one part of the request."""

        detail: str
        pointer: Annotated[str | None, Field(description="JSON pointer into the body.")] = None
        parameter: Annotated[str | None, Field(description="Name of a parameter or header.")] = None

    type: Annotated[str, Field(description="Identifies the kind of problem; need not lead anywhere.")]
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Entry] | None = None
