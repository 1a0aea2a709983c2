"""The operator's settings, from the environment."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harebell_bus.settings import BrokerSettings, BrokerSettingsError

from .decide.pod import Credentials
from .leadership import Terms

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class SettingsError(ValueError):
    """The environment lacks a setting or holds a wrong one; the message says which."""


class Settings(BaseModel):
    """What the operator needs to know before it starts."""

    model_config = ConfigDict(frozen=True)

    broker: BrokerSettings
    namespace: Annotated[str, Field(min_length=1)]
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 60
    offline_seconds: Annotated[float, Field(gt=0)] = 180
    agent_ttl_seconds: Annotated[float, Field(ge=0)] = 86400
    """How long an Agent that is offline is kept; 0: for good."""
    record_heartbeats: bool = False
    """Whether the history holds heartbeats too."""
    archive: bool = True
    """Whether there is to be an archiver."""
    watch_seconds: Annotated[float, Field(gt=0)] = 120
    """How long a watch may bring nothing of what the API server has; Kopf makes a silent one anew sooner."""
    lease: str | None = None
    """Name of the Lease that decides which operator works; None: there never is another than this."""
    lease_seconds: Annotated[int, Field(ge=5)] = 10
    """See :attr:`.leadership.Terms.seconds`."""
    pool_amqp_secret: str | None = None
    """Name of the Secret with the broker's URL for agents of pools, see :class:`.decide.pod.Credentials`."""
    pool_amqp_ca_key: str | None = None
    pool_amqp_ca_secret: str | None = None
    pool_amqp_certificate_secret: str | None = None
    port: Annotated[int, Field(ge=0, le=65535)] = 9090
    log_level: str = "INFO"
    identity: str = "harebell-operator"

    @property
    def terms(self) -> Terms | None:
        """On what terms it leads; None: without a Lease."""
        if self.lease is None:
            return None
        return Terms(self.namespace, self.lease, self.identity, self.lease_seconds)

    @property
    def offline_after(self) -> timedelta:
        """How long an agent may be silent."""
        return timedelta(seconds=self.offline_seconds)

    @property
    def agent_ttl(self) -> timedelta | None:
        """How long an Agent that is offline is kept; None: for good."""
        return timedelta(seconds=self.agent_ttl_seconds) if self.agent_ttl_seconds else None

    @property
    def pool_credentials(self) -> Credentials | None:
        """Where the Pods of AgentPools get the broker's URL from; None: their templates say."""
        if self.pool_amqp_secret is None:
            return None
        return Credentials(
            self.pool_amqp_secret,
            self.pool_amqp_ca_key,
            self.pool_amqp_ca_secret,
            self.pool_amqp_certificate_secret,
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings. :raises SettingsError: one is missing or wrong."""
        names = {
            "namespace": "HAREBELL_NAMESPACE",
            "heartbeat_seconds": "HAREBELL_HEARTBEAT_SECONDS",
            "offline_seconds": "HAREBELL_OFFLINE_SECONDS",
            "agent_ttl_seconds": "HAREBELL_AGENT_TTL_SECONDS",
            "record_heartbeats": "HAREBELL_RECORD_HEARTBEATS",
            "archive": "HAREBELL_ARCHIVE",
            "watch_seconds": "HAREBELL_WATCH_SECONDS",
            "lease": "HAREBELL_LEASE",
            "lease_seconds": "HAREBELL_LEASE_SECONDS",
            "pool_amqp_secret": "HAREBELL_POOL_AMQP_SECRET",
            "pool_amqp_ca_key": "HAREBELL_POOL_AMQP_CA_KEY",
            "pool_amqp_ca_secret": "HAREBELL_POOL_AMQP_CA_SECRET",
            "pool_amqp_certificate_secret": "HAREBELL_POOL_AMQP_CERT_SECRET",
            "port": "HAREBELL_PORT",
            "log_level": "HAREBELL_LOG_LEVEL",
            "identity": "POD_NAME",
        }
        values: dict[str, Any] = {k: environment[v] for k, v in names.items() if environment.get(v)}
        if "namespace" not in values and _NAMESPACE_FILE.exists():
            values["namespace"] = _NAMESPACE_FILE.read_text().strip()
        try:
            values["broker"] = BrokerSettings.from_environment(environment)
            settings = cls.model_validate(values)
        except BrokerSettingsError as error:
            raise SettingsError(str(error)) from error
        except ValidationError as error:
            problems = "; ".join(
                f"{names.get(str(p['loc'][0]), p['loc'][0])}: {p['msg']}" for p in error.errors()
            )
            raise SettingsError(problems) from error
        if settings.offline_seconds <= settings.heartbeat_seconds:
            raise SettingsError("HAREBELL_OFFLINE_SECONDS must be more than HAREBELL_HEARTBEAT_SECONDS")
        return settings
