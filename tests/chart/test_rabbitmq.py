"""The embedded RabbitMQ."""

from typing import Any

import pytest
from cryptography import x509
from tests.support.chart import VARIANTS, definitions, of_kind, pods, render, secret_texts

from harebell_bus.permissions import (
    ARCHIVER_USER,
    OPERATOR_USER,
    agent_permissions,
    agent_user,
    archiver_permissions,
    operator_permissions,
)
from harebell_bus.policies import definitions as policy_definitions
from harebell_bus.topology import DAY_MS, Exchange, base_topology


@pytest.mark.parametrize(
    ("variant", "types"),
    [("default", ["infra", "text"]), ("cluster", ["infra", "text"]), ("pools", ["infra", "llm"])],
)
def test_users_of_the_broker_are_those_of_the_bus(variant: str, types: list[str]) -> None:
    resources = render(VARIANTS[variant])
    defined = definitions(resources)
    expected = {OPERATOR_USER: operator_permissions(), ARCHIVER_USER: archiver_permissions()}
    expected |= {agent_user(each): agent_permissions(each) for each in types}
    assert defined["vhosts"] == [{"name": "harebell"}]
    (exchange,) = defined["exchanges"]
    assert Exchange(exchange["name"], exchange["type"]) in base_topology().exchanges
    assert (exchange["vhost"], exchange["durable"], exchange["arguments"]) == ("harebell", True, {})
    assert {topic["exchange"] for topic in defined["topic_permissions"]} == {exchange["name"]}
    assert {user["name"] for user in defined["users"]} == expected.keys()
    assert not any(user["tags"] for user in defined["users"])
    where = {"vhost": "harebell"}
    assert sorted(defined["permissions"], key=lambda each: str(each["user"])) == [
        where | {"user": user, "configure": may.configure, "write": may.write, "read": may.read}
        for user, may in sorted(expected.items())
    ]
    assert sorted(defined["topic_permissions"], key=lambda each: str(each["user"])) == [
        where | {"user": user, "exchange": topic.exchange, "write": topic.write, "read": topic.read}
        for user, may in sorted(expected.items())
        for topic in may.topics
    ]
    passwords = {user["name"]: user["password"] for user in defined["users"]}
    secrets = of_kind(resources, "Secret")
    assert passwords == {
        user: secrets[f"bell-harebell-amqp-{user.removeprefix('harebell-')}"]["stringData"]["password"]
        for user in expected
    }


def test_policies_are_those_of_the_bus_and_the_history_leaves_room_on_the_volume() -> None:
    expected = policy_definitions("harebell")["policies"]
    expected[-1]["definition"]["max-length-bytes"] = 2**30
    assert definitions(render())["policies"] == expected


def test_policies_can_be_changed() -> None:
    def given(**embedded: Any) -> dict[str, dict[str, Any]]:
        policies = definitions(render({"rabbitmq": {"embedded": embedded}}))["policies"]
        return {policy["name"].removeprefix("harebell-"): policy["definition"] for policy in policies}

    assert given(
        policies={
            "history": {"maxAge": "12h", "maxBytes": "10Gi"},
            "deadLetters": {"retentionDays": 30},
            "heartbeats": {"ttlSeconds": 600, "maxLength": 1_000_000},
        }
    ) == {
        "history": {"max-age": "12h", "max-length-bytes": 10 * 2**30},
        "dead-letters": {"message-ttl": 30 * DAY_MS},
        "heartbeats": {"message-ttl": 600_000, "max-length": 1_000_000},
    }
    assert given(policies={"history": {"maxBytes": 5e9}})["history"]["max-length-bytes"] == 5 * 10**9
    assert given(persistence={"size": "20G"})["history"]["max-length-bytes"] == 10**10


def test_rabbitmq_starts_with_its_users_and_no_default_one() -> None:
    resources = render()
    config = of_kind(resources, "ConfigMap")["bell-harebell-rabbitmq"]["data"]["rabbitmq.conf"]
    assert "load_definitions = /etc/harebell/rabbitmq/definitions.json\n" in config
    assert "default_user" not in "".join([config, *secret_texts(resources)])


def test_the_certificate_is_for_the_service_and_other_names() -> None:
    tls = {"extraNames": ["bus.example.org", "192.0.2.7", "2001:db8::7"]}
    secrets = of_kind(render({"rabbitmq": {"embedded": {"tls": tls}}}), "Secret")
    made = secrets["bell-harebell-rabbitmq-tls"]["stringData"]
    assert made["ca.crt"] == secrets["bell-harebell-rabbitmq-ca"]["stringData"]["ca.crt"]
    certificate = x509.load_pem_x509_certificate(made["tls.crt"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "bell-harebell-rabbitmq.agents.svc",
        "bell-harebell-rabbitmq.agents.svc.cluster.local",
        "bus.example.org",
    ]
    assert list(map(str, names.get_values_for_type(x509.IPAddress))) == ["192.0.2.7", "2001:db8::7"]


def test_with_tls_nothing_listens_in_plain() -> None:
    def facts(**tls: Any) -> tuple[str, set[str], set[str]]:
        resources = render({"rabbitmq": {"embedded": {"tls": tls}}})
        config = of_kind(resources, "ConfigMap")["bell-harebell-rabbitmq"]["data"]["rabbitmq.conf"]
        ports = of_kind(resources, "Service")["bell-harebell-rabbitmq"]["spec"]["ports"]
        named = {port["name"] for port in ports}
        secrets = {n for n in of_kind(resources, "Secret") if n.endswith(("-ca", "-tls"))}
        return config, named, secrets

    config, ports, secrets = facts()
    assert "listeners.tcp = none\n" in config
    assert "ssl_options.fail_if_no_peer_cert = false\n" in config
    assert (ports, len(secrets)) == ({"amqps", "metrics"}, 2)
    config, ports, secrets = facts(enabled=False)
    assert "ssl" not in config
    assert (ports, secrets) == ({"amqp", "metrics"}, set())
    config, ports, secrets = facts(requireClientCertificate=True)
    assert "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n" in config


@pytest.mark.parametrize("replicas", [1, 3])
def test_rabbitmq(replicas: int) -> None:
    limits = {"limits": {"memory": "1Gi"}}
    resources = render({"rabbitmq": {"embedded": {"replicas": replicas, "resources": limits}}})
    name = "bell-harebell-rabbitmq"
    config = of_kind(resources, "ConfigMap")[name]["data"]["rabbitmq.conf"]
    assert f"vm_memory_high_watermark.absolute = {int(0.6 * 2**30)}\n" in config
    workload = of_kind(resources, "StatefulSet")[name]["spec"]
    assert (workload["replicas"], workload["podManagementPolicy"]) == (replicas, "Parallel")
    nodes = of_kind(resources, "Service")[workload["serviceName"]]["spec"]
    assert nodes["clusterIP"] == "None"
    assert nodes["publishNotReadyAddresses"] is True
    budget = of_kind(resources, "PodDisruptionBudget").get(name, {"spec": None})
    majority = {"maxUnavailable": 1, "selector": workload["selector"]}
    assert budget["spec"] == (majority if replicas > 1 else None)


def test_a_new_configuration_restarts_rabbitmq_and_more_nodes_do_not() -> None:
    def template(agents: dict[str, Any] | None = None, **embedded: Any) -> Any:
        resources = render({"rabbitmq": {"embedded": embedded}, "agents": agents or {}})
        pod: dict[str, Any] = pods(resources)["bell-harebell-rabbitmq"]
        # Without a cluster to keep them, passwords are new each time.
        annotations = {k: v for k, v in pod["metadata"]["annotations"].items() if k != "checksum/passwords"}
        return pod | {"metadata": pod["metadata"] | {"annotations": annotations}}

    assert template(diskFreeLimit="1GB") != template()
    assert template(extraConfig="heartbeat = 30") != template()
    assert template(policies={"history": {"maxAge": "3D"}}) != template()
    assert template(replicas=3) == template()
    # A user more, or only another pool of a type there is.
    assert template({"gpu": {"type": "llm"}}) != template()
    assert template({"more": {"type": "text", "replicas": 9}}) == template()
