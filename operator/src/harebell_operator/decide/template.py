"""Whether a pool's template has the shape of a Pod where the operator looks into it or adds to it.

The CRD leaves all else than containers and their names to the API server, which judges the Pod that is made.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class TemplateError(ValueError):
    """No Pod can be made of a template; the message says where in it, and why."""


class _Shape(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class _Variable(_Shape):
    name: str | None = None
    value: str | None = None


class _Container(_Shape):
    env: list[_Variable] | None = None
    ports: list[dict[str, Any]] | None = None
    security_context: dict[str, Any] | None = None
    volume_mounts: list[dict[str, Any]] | None = None


class _Spec(_Shape):
    containers: list[_Container]
    init_containers: list[_Container] | None = None
    security_context: dict[str, Any] | None = None
    volumes: list[dict[str, Any]] | None = None


def check_shape(spec: dict[str, Any]) -> None:
    """Look at a Pod's spec. :raises TemplateError: the first thing wrong with it."""
    try:
        _Spec.model_validate(spec)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(step) for step in ("spec.template.spec", *problem["loc"]))
        raise TemplateError(f"{place}: {problem['msg']}") from None
