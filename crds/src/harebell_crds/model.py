"""What every resource model shares: camelCase on the wire, and tolerance of fields a newer version added."""

from datetime import MINYEAR, UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Base of all resource models. Frozen: an observation never changes under a decision."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def to_wire(self) -> dict[str, Any]:
        """Return the object as Kubernetes stores it: camelCase, unset fields left out.

        Nulls inside payloads and results stay: those are dictionaries, not models.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def utc(moment: datetime) -> datetime:
    """Return a moment in UTC, or the nearest that exists there: the API server takes the last second of the
    year 9999 in any time zone."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        nearest = datetime.min if moment.year == MINYEAR else datetime.max
        return nearest.replace(tzinfo=UTC)


def _rfc3339(moment: datetime) -> str:
    return utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rfc3339_micro(moment: datetime) -> str:
    return utc(moment).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _default_when_null(value: Any) -> Any:
    return () if value is None else value


Time = Annotated[AwareDatetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]
"""``metav1.Time``: RFC 3339, UTC, whole seconds."""

MicroTime = Annotated[AwareDatetime, PlainSerializer(_rfc3339_micro, return_type=str, when_used="json")]
"""``metav1.MicroTime``: RFC 3339, UTC, microseconds; for moments whose differences people measure."""

Json = Any
"""Any JSON value."""

NullIsEmpty = BeforeValidator(_default_when_null)
"""Reads a JSON null as an empty list."""
