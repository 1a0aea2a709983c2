"""What the environment and the command line say. Wrong settings end the start with all of them named."""

import logging
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from harebell_bus.envelopes import PodRef
from harebell_bus.errors import BrokerUnavailableError
from harebell_bus.settings import BrokerSettings, BrokerSettingsError

from .actions.allow import AllowList, parse
from .errors import SettingsError

BUILT_IN: Final = "harebell_agent.builtin:build"

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_TYPE = re.compile(_LABEL)
_ID = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Settings:
    """How an agent runs."""

    broker: BrokerSettings
    agent_id: str
    agent_type: str | None = None
    """None: the agent's own."""
    module: str = BUILT_IN
    concurrency: int = 1
    drain_seconds: float = 20.0
    log_level: str = "INFO"
    port: int = 9091
    """Of /healthz, /readyz and /metrics; 0: not served."""
    pod: PodRef | None = None
    command_allow: AllowList = field(default_factory=AllowList)


def from_environment(environment: Mapping[str, str], overrides: Mapping[str, str | None] = {}) -> Settings:
    """Read the settings; ``overrides`` has variables that the command line set.

    :raises SettingsError: some are missing or wrong; the text names every one.
    """
    values = {**environment, **{name: value for name, value in overrides.items() if value}}
    problems: list[str] = []

    def read(name: str, default: str, convert: Callable[[str], _T]) -> _T:
        try:
            return convert(values.get(name) or default)
        except ValueError as error:
            problems.append(f"{name}: {error}")
            return convert(default)

    id_name = next((n for n in ("HAREBELL_AGENT_ID", "POD_NAME") if values.get(n)), "the host's name")
    agent_id = values.get(id_name) or socket.gethostname()
    broker = BrokerSettings()
    try:
        agent_id_from(agent_id)
    except ValueError as error:
        problems.append(f"{id_name}: {error}")
    try:
        broker = BrokerSettings.from_environment(values)
        _check_url(broker)
    except BrokerSettingsError as error:
        problems.append(str(error))
    settings = Settings(
        broker=broker,
        agent_id=agent_id,
        agent_type=read("HAREBELL_AGENT_TYPE", "", agent_type_from) or None,
        module=values.get("HAREBELL_AGENT_MODULE") or BUILT_IN,
        concurrency=read("HAREBELL_AGENT_CONCURRENCY", "1", _whole(1, 256)),
        drain_seconds=read("HAREBELL_DRAIN_SECONDS", "20", _seconds),
        log_level=read("HAREBELL_LOG_LEVEL", "INFO", _log_level),
        port=read("HAREBELL_PORT", "9091", _whole(0, 65535)),
        pod=_pod(values),
        command_allow=read("HAREBELL_COMMAND_ALLOW", "", parse),
    )
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def agent_id_from(text: str) -> str:
    """Return an agent's id. :raises ValueError: it could not be the name of an Agent resource."""
    if len(text) > 253 or not _ID.fullmatch(text):
        raise ValueError(
            f"{text[:300]!r} cannot be an agent's id: it must be at most 253 lowercase letters, digits, "
            "'-' and '.', each part between dots beginning and ending with a letter or digit"
        )
    return text


def agent_type_from(text: str) -> str:
    """Return an agent type; empty stays empty. :raises ValueError: it could not be one."""
    if text and (len(text) > 63 or not _TYPE.fullmatch(text)):
        raise ValueError(
            f"{text[:100]!r} cannot be an agent type: it must be at most 63 lowercase letters, digits and "
            "'-', beginning and ending with a letter or digit"
        )
    return text


def _check_url(broker: BrokerSettings) -> None:
    """Check a URL that is given in full. A file is read at every connect, and may appear later."""
    if broker.url_literal is None:
        return
    try:
        broker.url()
    except BrokerUnavailableError as error:
        raise BrokerSettingsError(f"HAREBELL_AMQP_URL: {error}") from None


def _whole(least: int, most: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return convert


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        raise ValueError(f"must be a number of seconds, not {text!r}")
    return float(text)


def _log_level(text: str) -> str:
    level = text.upper()
    if level not in logging.getLevelNamesMapping():
        raise ValueError(f"must be DEBUG, INFO, WARNING or ERROR, not {text!r}")
    return level


def _pod(values: Mapping[str, str]) -> PodRef | None:
    namespace, name, uid = (values.get(n) for n in ("POD_NAMESPACE", "POD_NAME", "POD_UID"))
    if not (namespace and name and uid):
        return None
    return PodRef(namespace=namespace, name=name, uid=uid, node_name=values.get("NODE_NAME") or None)
