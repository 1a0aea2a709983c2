"""Bus: how the parts do that carry and keep messages. One in a namespace, made by the operator."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .conditions import Condition
from .model import Model, NullIsEmpty, Time

BUS_NAME = "harebell"
"""Name of the only one."""


class BusSpec(Model):
    """Nothing is to be chosen."""


class OperatorStatus(Model):
    """The operator that last wrote."""

    version: Annotated[str | None, Field(description="Version of its software.")] = None


class BrokerStatus(Model):
    """RabbitMQ, as the operator sees it."""

    version: Annotated[str | None, Field(description="Version it said it is at the last connect.")] = None


class ArchiveStatus(Model):
    """The archive, as the archiver last reported."""

    lag_messages: Annotated[
        int | None, Field(ge=0, description="Messages of the history not archived yet; absent: not known.")
    ] = None
    archived_messages: Annotated[int | None, Field(ge=0, description="Messages ever archived.")] = None
    gap_messages: Annotated[
        int | None,
        Field(ge=0, description="Messages that never will be, at most, where their number is known."),
    ] = None
    last_gap_time: Annotated[Time | None, Field(description="When messages were last found missing.")] = None
    last_archived_time: Annotated[
        Time | None, Field(description="When RabbitMQ took the newest message that is archived.")
    ] = None


class BusStatus(Model):
    """Written by the operator alone."""

    conditions: Annotated[
        tuple[Condition, ...],
        NullIsEmpty,
        Field(description="BrokerReachable, ArchiveCurrent, ArchiveComplete."),
    ] = ()
    operator: Annotated[OperatorStatus, Field(description="The operator that last wrote.")] = OperatorStatus()
    broker: Annotated[BrokerStatus, Field(description="RabbitMQ.")] = BrokerStatus()
    archive: Annotated[ArchiveStatus, Field(description="The archive in PostgreSQL.")] = ArchiveStatus()


class BusCondition(StrEnum):
    """Types of a Bus's conditions."""

    BROKER_REACHABLE = "BrokerReachable"
    ARCHIVE_CURRENT = "ArchiveCurrent"
    """Messages reach the archive without much delay."""
    ARCHIVE_COMPLETE = "ArchiveComplete"
    """False: lately some were found to be missing for good."""
