"""Archiver to operator: how the archive does."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from .base import VERSION, AgentRef, Envelope, Moment


class ArchiverState(StrEnum):
    """What the archiver does."""

    STARTING = "Starting"
    ARCHIVING = "Archiving"
    STANDBY = "Standby"
    """Another archiver archives."""
    STREAM_UNREACHABLE = "StreamUnreachable"
    POSTGRESQL_UNREACHABLE = "PostgreSQLUnreachable"


class ArchiveReport(Envelope):
    """How the archive does; each one stands alone, the newest wins. What is not known is null."""

    version: Literal[1] = VERSION
    kind: Literal["ArchiveReport"] = "ArchiveReport"
    archiver: AgentRef
    at: Moment
    state: ArchiverState
    message: str = ""
    lag_messages: Annotated[int, Field(ge=0)] | None = None
    """Messages of the stream that are not archived yet."""
    archived_messages: Annotated[int, Field(ge=0)] | None = None
    gap_messages: Annotated[int, Field(ge=0)] | None = None
    """Messages that never will be, at most."""
    last_gap_at: Moment | None = None
    last_archived_time: Moment | None = None
    """When the broker took the newest message that is archived."""
