"""The values of the chart, section by section.

A field's description stands beside it in values.yaml; here it stands only where values.yaml has none.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from .types import (
    AgentType,
    Commands,
    Duration,
    EnvironmentVariable,
    HostPattern,
    Image,
    IngressTls,
    KubernetesObject,
    LabelOrEmpty,
    Name,
    NameOrEmpty,
    Peer,
    Persistence,
    Placement,
    PoolName,
    Port,
    Positive,
    QuantityOrEmpty,
    Resources,
    SecretName,
    Section,
    ServerImage,
    Strings,
    Text,
    Whole,
)

_PYTHON = r"[A-Za-z_][A-Za-z0-9_]*"
_Share = Positive | Annotated[str, Field(pattern=r"^([1-9][0-9]?|100)%$")]
_ApiPath = Annotated[str, Field(pattern=r"^/api/v1")]
"""Health and metrics stay inside."""


class ServiceAccount(Section):
    """The account of operator and API."""

    name: NameOrEmpty
    create: bool
    annotations: Strings


class Rbac(Section):
    """Rights of people."""

    aggregate_cluster_roles: bool


class Operator(Placement):
    """Operator and API, which share a Pod."""

    replicas: Positive
    image: Image
    heartbeat_seconds: Positive
    offline_seconds: Positive
    agent_ttl_seconds: Whole
    existing_amqp_cert_secret: NameOrEmpty
    record_heartbeats: bool
    env: list[EnvironmentVariable]
    resources: Resources


class Service(Section):
    """The API's Service."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"]
    port: Port
    annotations: Strings


class Ingress(Section):
    """An Ingress for the API."""

    enabled: bool
    class_name: NameOrEmpty
    host: Annotated[str, Field(pattern=r"^$|^(\*\.)?[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
    path: _ApiPath
    annotations: Strings
    tls: list[IngressTls]


class HttpRoute(Section):
    """An HTTPRoute of the Gateway API for the API."""

    enabled: bool
    parent_refs: list[KubernetesObject]
    hostnames: list[HostPattern]
    path: _ApiPath
    annotations: Strings


class BootstrapKey(Section):
    """The first API key."""

    enabled: bool


class KubernetesTokens(Section):
    """Tokens of ServiceAccounts in place of API keys."""

    enabled: bool
    audience: Text


class Api(Section):
    """The API."""

    existing_secret: NameOrEmpty
    bootstrap_key: BootstrapKey
    kubernetes_tokens: KubernetesTokens
    env: list[EnvironmentVariable]
    resources: Resources
    service: Service
    ingress: Ingress
    http_route: HttpRoute


class AgentDefaults(Placement):
    """What pools of agents take that do not say otherwise."""

    image: Image
    existing_amqp_secret: NameOrEmpty
    existing_amqp_cert_secret: NameOrEmpty
    replicas: Whole
    max_unavailable: _Share
    concurrency: Positive
    module: Annotated[str, Field(pattern=rf"^$|^{_PYTHON}(\.{_PYTHON})*(:{_PYTHON})?$")]
    command_allow: Commands
    drain_seconds: Whole
    env: list[EnvironmentVariable]
    resources: Resources


class Pool(AgentDefaults):
    """One pool of agents."""

    type: AgentType
    # Of what has a default in values.yaml Helm takes a null away before this looks at it; a pool has none.
    max_unavailable: _Share | None  # type: ignore[assignment]


class HistoryPolicy(Section):
    """Limits of the history's stream."""

    max_age: Annotated[str, Field(pattern=r"^[1-9][0-9]*[YMDhms]$")]
    max_bytes: QuantityOrEmpty


class DeadLettersPolicy(Section):
    """Limits of the dead letters' queue."""

    retention_days: Annotated[int, Field(ge=1, le=30)]


class HeartbeatsPolicy(Section):
    """Limits of the heartbeats' queue."""

    ttl_seconds: Annotated[int, Field(ge=1, le=600)]
    max_length: Annotated[int, Field(ge=1, le=1_000_000)]


class Policies(Section):
    """Limits of queues."""

    history: HistoryPolicy
    dead_letters: DeadLettersPolicy
    heartbeats: HeartbeatsPolicy


class BrokerTls(Section):
    """TLS between the embedded broker and its clients."""

    enabled: bool
    existing_secret: NameOrEmpty
    extra_names: list[
        Annotated[str, Field(pattern=r"^[0-9A-Fa-f.:]+$|^(\*\.)?[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]
    ]
    require_client_certificate: bool


class EmbeddedRabbitmq(Placement):
    """RabbitMQ as part of the release."""

    enabled: bool
    image: ServerImage
    replicas: Literal[1, 3, 5, 7]
    resources: Resources
    disk_free_limit: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?([kKMGT]i?B?)?$")]
    extra_config: str
    policies: Policies
    tls: BrokerTls
    persistence: Persistence


class ExternalRabbitmq(Section):
    """RabbitMQ of somebody else."""

    existing_secret: NameOrEmpty
    ca_key: str


class Rabbitmq(Section):
    """The broker."""

    embedded: EmbeddedRabbitmq
    external: ExternalRabbitmq


class Archiver(Placement):
    """What copies the history into PostgreSQL."""

    retention_days: Annotated[int, Field(ge=1, le=36500)]
    existing_amqp_secret: NameOrEmpty
    existing_amqp_cert_secret: NameOrEmpty
    env: list[EnvironmentVariable]
    resources: Resources


class EmbeddedPostgresql(Placement):
    """PostgreSQL as part of the release."""

    enabled: bool
    image: ServerImage
    resources: Resources
    persistence: Persistence


class ExternalPostgresql(Section):
    """PostgreSQL of somebody else."""

    existing_secret: NameOrEmpty
    existing_reader_secret: NameOrEmpty


class Postgresql(Section):
    """The database of the archive."""

    embedded: EmbeddedPostgresql
    external: ExternalPostgresql


class AdmissionPolicy(Section):
    """What the API server refuses beyond the definitions."""

    enabled: bool


class Sources(Section):
    """Who may connect."""

    from_: Annotated[list[Peer], Field(alias="from")]


class Destinations(Section):
    """What may be connected to."""

    to: list[Peer]
    ports: list[Port]


class Server(Destinations):
    """A server: of the release, or another one that its parts connect to."""

    also_from: list[Peer]


class AgentTraffic(Section):
    """What agents may connect to."""

    open_egress: bool
    egress: list[KubernetesObject]


class NetworkPolicy(Section):
    """Which connections there may be."""

    enabled: bool
    api: Sources
    metrics: Sources
    dns: Destinations
    api_server: Destinations
    agents: AgentTraffic
    rabbitmq: Server
    postgresql: Server


class Rules(Section):
    """Alerts."""

    enabled: bool
    labels: Strings
    runbook_url: str


class Dashboard(Section):
    """A dashboard for Grafana."""

    enabled: bool
    labels: Strings
    annotations: Strings


class Monitoring(Section):
    """What Prometheus is told, in resources of its operator."""

    enabled: bool
    interval: Duration
    labels: Strings
    rules: Rules
    dashboard: Dashboard


class Values(Section):
    """Values of the harebell chart."""

    global_: Annotated[
        dict[str, Any],
        Field(alias="global", description="Put here by Helm where the chart is part of another."),
    ]
    name_override: LabelOrEmpty
    fullname_override: LabelOrEmpty
    cluster_domain: Name
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"]
    image_pull_secrets: list[SecretName]
    log_level: Literal["debug", "info", "warning", "error"]
    service_account: ServiceAccount
    rbac: Rbac
    operator: Operator
    api: Api
    agents: dict[PoolName, Pool | None]
    agent_defaults: AgentDefaults
    rabbitmq: Rabbitmq
    archiver: Archiver
    postgresql: Postgresql
    network_policy: NetworkPolicy
    monitoring: Monitoring
    admission_policy: AdmissionPolicy
