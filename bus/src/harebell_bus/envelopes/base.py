"""What every message shares."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

VERSION: Final = 1


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such time in UTC") from None


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A time with an offset, held as UTC."""


class Envelope(BaseModel):
    """What every message and every part of one shares."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,  # the AsyncAPI document shows them
    )


class TaskRef(Envelope):
    """Which Task a message is about."""

    namespace: str
    name: str
    uid: str


class AgentRef(Envelope):
    """Which process of which agent speaks. ``instance`` is new at every start of the process."""

    id: str
    instance: str
