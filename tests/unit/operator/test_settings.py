"""The operator's environment: defaults, and complaints that name the variable."""

import pytest

from harebell_operator.settings import Settings, SettingsError

ENOUGH = {"HAREBELL_AMQP_URL": "amqp://broker/", "HAREBELL_NAMESPACE": "ns"}


def test_defaults() -> None:
    settings = Settings.from_environment(ENOUGH)
    assert (settings.heartbeat_seconds, settings.offline_seconds) == (60, 180)
    assert (settings.port, settings.lease) == (9090, None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"HAREBELL_AMQP_URL": ""}, "HAREBELL_AMQP_URL"),
        ({"HAREBELL_NAMESPACE": ""}, "HAREBELL_NAMESPACE"),
        ({"HAREBELL_HEARTBEAT_SECONDS": "often"}, "HAREBELL_HEARTBEAT_SECONDS"),
        ({"HAREBELL_HEARTBEAT_SECONDS": "0"}, "HAREBELL_HEARTBEAT_SECONDS"),
        ({"HAREBELL_OFFLINE_SECONDS": "60"}, "HAREBELL_OFFLINE_SECONDS"),
        ({"HAREBELL_PORT": "65536"}, "HAREBELL_PORT"),
    ],
)
def test_mistakes_are_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings.from_environment(ENOUGH | change)
