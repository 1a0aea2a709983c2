"""The operator's environment: defaults, and complaints that name the variable."""

from datetime import timedelta

import pytest

from harebell_operator.decide.pod import Credentials
from harebell_operator.leadership import Terms
from harebell_operator.settings import Settings, SettingsError

ENOUGH = {"HAREBELL_AMQP_URL": "amqp://broker/", "HAREBELL_NAMESPACE": "ns"}


def test_defaults() -> None:
    settings = Settings.from_environment(ENOUGH)
    assert (settings.heartbeat_seconds, settings.offline_seconds) == (60, 180)
    assert (settings.port, settings.terms) == (9090, None)
    assert settings.agent_ttl == timedelta(days=1)


def test_the_terms_of_leadership() -> None:
    lease = ENOUGH | {"HAREBELL_LEASE": "operator", "POD_NAME": "me"}
    assert Settings.from_environment(lease).terms == Terms("ns", "operator", "me", 10)
    longer = Settings.from_environment(lease | {"HAREBELL_LEASE_SECONDS": "60"}).terms
    assert longer == Terms("ns", "operator", "me", 60)
    assert longer.renew_seconds < 60


def test_agents_can_be_kept_for_good() -> None:
    assert Settings.from_environment(ENOUGH | {"HAREBELL_AGENT_TTL_SECONDS": "0"}).agent_ttl is None


def test_where_agents_of_pools_get_their_credentials() -> None:
    secret = {"HAREBELL_POOL_AMQP_SECRET": "amqp-{type}"}
    assert Settings.from_environment(ENOUGH).pool_credentials is None
    assert Settings.from_environment(ENOUGH | secret).pool_credentials == Credentials("amqp-{type}")
    ca = {"HAREBELL_POOL_AMQP_CA_KEY": "ca.pem"}
    assert Settings.from_environment(ENOUGH | secret | ca).pool_credentials == Credentials(
        "amqp-{type}", "ca.pem"
    )
    more = {"HAREBELL_POOL_AMQP_CA_SECRET": "ca", "HAREBELL_POOL_AMQP_CERT_SECRET": "me"}
    assert Settings.from_environment(ENOUGH | secret | ca | more).pool_credentials == Credentials(
        "amqp-{type}", "ca.pem", "ca", "me"
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"HAREBELL_AMQP_URL": ""}, "HAREBELL_AMQP_URL"),
        ({"HAREBELL_NAMESPACE": ""}, "HAREBELL_NAMESPACE"),
        ({"HAREBELL_HEARTBEAT_SECONDS": "often"}, "HAREBELL_HEARTBEAT_SECONDS"),
        ({"HAREBELL_HEARTBEAT_SECONDS": "0"}, "HAREBELL_HEARTBEAT_SECONDS"),
        ({"HAREBELL_OFFLINE_SECONDS": "60"}, "HAREBELL_OFFLINE_SECONDS"),
        ({"HAREBELL_AGENT_TTL_SECONDS": "-1"}, "HAREBELL_AGENT_TTL_SECONDS"),
        ({"HAREBELL_PORT": "65536"}, "HAREBELL_PORT"),
    ],
)
def test_mistakes_are_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings.from_environment(ENOUGH | change)
