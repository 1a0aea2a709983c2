"""How functions become actions, and payloads their arguments."""

import functools
import importlib.metadata
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

import harebell_agent
from harebell_agent import Agent, Context
from harebell_agent.action import NAME, NAME_CHARACTERS, InvalidPayloadError, arguments, define
from harebell_agent.errors import SettingsError
from harebell_crds.task import ACTION_PATTERN


class Query(BaseModel):
    model_config = ConfigDict(strict=True)
    text: str
    since: date | None = None


@dataclass
class Point:
    x: int


async def with_model(ctx: Context, payload: Query) -> None: ...
async def with_dataclass(ctx: Context, payload: Point) -> None: ...
def with_dict(ctx: Context, payload: dict[str, Any]) -> None: ...
def with_anything(ctx, payload): ...  # type: ignore[no-untyped-def]
async def with_nothing(ctx: Context) -> None: ...


async def configured(limit: int, ctx: Context, payload: Query) -> None: ...
def configured_function(limit: int, ctx: Context, payload: Query) -> None: ...


class Callable:
    async def __call__(self, ctx: Context, payload: Query) -> None: ...


@pytest.mark.parametrize(
    ("handler", "payload", "taken", "is_async"),
    [
        (with_model, {"text": "a", "since": "2026-01-19"}, (Query(text="a", since=date(2026, 1, 19)),), True),
        (with_dataclass, {"x": 3}, (Point(3),), True),
        (with_dict, {"x": [1]}, ({"x": [1]},), False),
        (with_anything, {"x": [1]}, ({"x": [1]},), False),
        (with_nothing, {"x": 1}, (), True),
        (Callable(), {"text": "a"}, (Query(text="a"),), True),
        (functools.partial(configured, 3), {"text": "a"}, (Query(text="a"),), True),
        (functools.partial(configured_function, 3), {"text": "a"}, (Query(text="a"),), False),
        (functools.partial(functools.partial(configured), 3), {"text": "a"}, (Query(text="a"),), True),
        (functools.partial(Callable()), {"text": "a"}, (Query(text="a"),), True),
    ],
)
def test_an_action_takes(handler: Any, payload: dict[str, Any], taken: Any, is_async: bool) -> None:
    action = define("x", handler)
    assert arguments(action, payload) == taken
    assert action.is_async is is_async


def test_an_invalid_payload_names_fields_and_shows_no_values() -> None:
    with pytest.raises(InvalidPayloadError) as raised:
        arguments(define("x", with_model), {"text": 4711, "since": "hunter2"})
    assert "text: " in str(raised.value)
    assert "since: " in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert "4711" not in str(raised.value)


def no_context() -> None: ...
def too_many(ctx: Context, a: int, b: int) -> None: ...
def keyword(ctx: Context, *, needed: int) -> None: ...
def generator(ctx: Context) -> Any:
    yield 1


async def async_generator(ctx: Context) -> Any:
    yield 1


def unknown_type(ctx: Context, payload: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def odd_type(ctx: Context, payload: Context) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        functools.partial(generator),
        no_context,
        too_many,
        keyword,
        generator,
        async_generator,
        unknown_type,
        odd_type,
    ],
)
def test_what_cannot_be_an_action_is_refused_where_it_is_defined(handler: Any) -> None:
    with pytest.raises(SettingsError, match="action 'x'"):
        define("x", handler)


async def later(payload: Any) -> bool:
    return True


@pytest.mark.parametrize("idempotent", [later, functools.partial(later), None, "yes"])
def test_what_cannot_say_whether_it_is_idempotent_is_refused_where_it_is_defined(idempotent: Any) -> None:
    with pytest.raises(SettingsError, match="action 'x': idempotent"):
        define("x", with_nothing, idempotent=idempotent)


@pytest.mark.parametrize("name", ["", "1st", "two words", "ends.", "é", "x\n", "x" * 129, None])
def test_what_no_task_can_ask_for_is_no_name(name: Any) -> None:
    with pytest.raises(SettingsError, match="cannot be an action's name"):
        Agent().action(name)


def test_a_decorator_without_its_name_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match=r'write @agent.action\("name"\)'):
        Agent().action(with_nothing)  # type: ignore[arg-type]


def test_names_are_those_that_tasks_have() -> None:
    assert f"^{NAME.pattern}$" == ACTION_PATTERN
    Agent().action("x" * NAME_CHARACTERS)(with_nothing)


def test_a_name_is_taken_once() -> None:
    agent = Agent()
    agent.action("x")(with_nothing)
    with pytest.raises(SettingsError, match="twice"):
        agent.action("x")(with_dict)


def test_the_version_is_the_package_s() -> None:
    assert harebell_agent.__version__ == importlib.metadata.version("harebell-agent")
