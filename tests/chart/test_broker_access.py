"""How components reach the broker: whose URL, and which certificates."""

import json
from typing import Any

from tests.support.chart import (
    EXTERNAL,
    VARIANTS,
    amqp_files,
    amqp_secrets,
    environment,
    of_kind,
    pods,
    render,
)

CONTAINERS = {"operator": "operator", "agent-text": "agent"}


def test_external_services() -> None:
    resources = render(EXTERNAL)
    assert not of_kind(resources, "StatefulSet", "Secret", "ConfigMap")
    for name in pods(resources):
        assert amqp_files(resources, name) == {"url": "my-broker/url", "ca.crt": "my-broker/ca.pem"}, name
    for container in (
        "bell-harebell-operator/operator",
        "bell-harebell-agent-text/agent",
        "bell-harebell-archiver/archiver",
    ):
        assert environment(resources, container)["HAREBELL_AMQP_CA_FILE"] == "/etc/harebell/amqp/ca.crt"


def test_agents_may_have_credentials_of_their_own_for_an_external_broker() -> None:
    agents = {"text": {"existingAmqpSecret": "my-text"}, "infra": {}}
    everywhere = {"agentDefaults": {"existingAmqpSecret": "my-agents"}}
    archiver = {"archiver": {"existingAmqpSecret": "my-archiver"}}
    shared = {"operator": "my-broker", "archiver": "my-broker"}
    some = amqp_secrets(render(EXTERNAL | {"agents": agents}))
    assert some == shared | {"agent-text": "my-text", "agent-infra": "my-broker"}
    every = amqp_secrets(render(EXTERNAL | everywhere | archiver | {"agents": agents}))
    assert every == {
        "operator": "my-broker",
        "archiver": "my-archiver",
        "agent-text": "my-text",
        "agent-infra": "my-agents",
    }


def test_each_component_mounts_its_own_credentials_only() -> None:
    agents = {"gpu": {"type": "llm"}, "more": {"type": "llm"}}
    resources = render({"agents": agents})
    mounted = amqp_secrets(resources)
    assert mounted == {
        "operator": "bell-harebell-amqp-operator",
        "archiver": "bell-harebell-amqp-archiver",
        "agent-infra": "bell-harebell-amqp-agent-infra",
        "agent-text": "bell-harebell-amqp-agent-text",
        # Pools of the same type share a user.
        "agent-gpu": "bell-harebell-amqp-agent-llm",
        "agent-more": "bell-harebell-amqp-agent-llm",
    }
    secrets = of_kind(resources, "Secret")
    for name in mounted.values():
        credentials = secrets[name]["stringData"]
        assert credentials["username"] == f"harebell-{name.removeprefix('bell-harebell-amqp-')}"
        assert credentials["url"] == (
            f"amqps://{credentials['username']}:{credentials['password']}"
            "@bell-harebell-rabbitmq.agents.svc:5671/harebell"
        )


def test_agents_of_agentpools_get_the_credentials_that_those_of_the_chart_have() -> None:
    def given(values: dict[str, Any]) -> dict[str, str]:
        env = environment(render(values), "bell-harebell-operator/operator")
        begin = "HAREBELL_POOL_AMQP_"
        return {name.removeprefix(begin): value for name, value in env.items() if name.startswith(begin)}

    made = {"SECRET": "bell-harebell-amqp-agent-{type}"}
    ca = {"CA_KEY": "ca.crt", "CA_SECRET": "bell-harebell-rabbitmq-tls"}
    assert given({}) == made | ca
    assert given(VARIANTS["plain"]) == made
    certificate = {"rabbitmq": {"embedded": {"tls": {"requireClientCertificate": True}}}}
    assert given(certificate) == made | ca | {"CERT_SECRET": made["SECRET"]}
    assert given(EXTERNAL) == {"SECRET": "my-broker", "CA_KEY": "ca.pem"}
    own = {"agentDefaults": {"existingAmqpSecret": "my-agents", "existingAmqpCertSecret": "my-client"}}
    assert given(EXTERNAL | own) == {"SECRET": "my-agents", "CA_KEY": "ca.pem", "CERT_SECRET": "my-client"}


def test_each_component_verifies_the_broker_with_the_ca_of_the_release() -> None:
    resources = render()
    for component in ("operator", "agent-text"):
        files = amqp_files(resources, f"bell-harebell-{component}")
        assert files["ca.crt"] == "bell-harebell-rabbitmq-tls/ca.crt"
        assert "tls.key" not in files
    env = environment(resources, "bell-harebell-agent-text/agent")
    assert env["HAREBELL_AMQP_CA_FILE"] == "/etc/harebell/amqp/ca.crt"
    assert "HAREBELL_AMQP_CERT_FILE" not in env
    # What signs is in no Pod.
    assert "rabbitmq-ca" not in json.dumps(list(pods(resources).values()))


def test_client_certificates() -> None:
    def files(values: dict[str, Any], component: str) -> dict[str, str]:
        resources = render(values)
        has = "HAREBELL_AMQP_CERT_FILE" in environment(
            resources, f"bell-harebell-{component}/{CONTAINERS[component]}"
        )
        found = amqp_files(resources, f"bell-harebell-{component}")
        assert has is ("tls.crt" in found)
        return {name: source for name, source in found.items() if name.startswith("tls.")}

    def of(secret: str) -> dict[str, str]:
        return {"tls.crt": f"{secret}/tls.crt", "tls.key": f"{secret}/tls.key"}

    made = {"rabbitmq": {"embedded": {"tls": {"requireClientCertificate": True}}}}
    assert files(made, "operator") == of("bell-harebell-amqp-operator")
    assert files(made, "agent-text") == of("bell-harebell-amqp-agent-text")
    given = {
        "operator": {"existingAmqpCertSecret": "my-op"},
        "agentDefaults": {"existingAmqpCertSecret": "my-a"},
        "archiver": {"existingAmqpCertSecret": "my-ar"},
    }
    for values in (given, EXTERNAL | given, made | given):
        assert (files(values, "operator"), files(values, "agent-text")) == (of("my-op"), of("my-a"))
    assert files(EXTERNAL, "operator") == {}


def test_a_certificate_from_elsewhere() -> None:
    resources = render(VARIANTS["certificate"])
    assert not [name for name in of_kind(resources, "Secret") if name.endswith(("-ca", "-tls"))]
    assert amqp_files(resources, "bell-harebell-operator")["ca.crt"] == "my-certificate/ca.crt"
    assert amqp_files(resources, "bell-harebell-operator")["tls.key"] == "my-client/tls.key"
