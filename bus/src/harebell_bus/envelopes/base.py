"""What every message shares."""

from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

VERSION: Final = 1


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
