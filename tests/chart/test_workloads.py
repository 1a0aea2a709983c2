"""Pods, what they mount, and what leads to them."""

import json

import pytest
from tests.support.chart import (
    DIGEST,
    VARIANTS,
    containers,
    definitions,
    environment,
    every_variant,
    of_kind,
    pods,
    render,
)

from harebell_bus.permissions import ARCHIVER_USER


@every_variant
def test_every_container_can_be_watched_and_bounded(variant: str) -> None:
    for name, container in containers(render(VARIANTS[variant])):
        named = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            action = container[probe].get("httpGet") or container[probe].get("tcpSocket")
            assert action is None or action["port"] in named, name
        resources = container["resources"]
        assert resources["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}, name
        assert {"memory", "ephemeral-storage"} <= resources["limits"].keys(), name
        assert "cpu" not in container["resources"]["limits"], name
        assert container["imagePullPolicy"] == "IfNotPresent", name


@every_variant
def test_what_is_mounted_exists(variant: str) -> None:
    resources = render(VARIANTS[variant])
    keys = {
        (kind, name): {*each.get("data", {}), *each.get("stringData", {})}
        for kind in ("Secret", "ConfigMap")
        for name, each in of_kind(resources, kind).items()
    }
    for name, pod in pods(resources).items():
        for volume in pod["spec"]["volumes"]:
            for source in volume.get("projected", {}).get("sources", [volume]):
                if "configMap" in source:
                    assert ("ConfigMap", source["configMap"]["name"]) in keys, name
                if "secret" in source:
                    secret = source["secret"]
                    wanted = secret.get("secretName") or secret["name"]
                    if not wanted.startswith("my-"):
                        assert {item["key"] for item in secret["items"]} <= keys["Secret", wanted], name


@every_variant
def test_services_and_selectors_find_pods(variant: str) -> None:
    resources = render(VARIANTS[variant])
    templates = pods(resources)
    for name, workload in of_kind(resources, "Deployment", "StatefulSet").items():
        selector = workload["spec"]["selector"]["matchLabels"]
        found = [n for n, p in templates.items() if selector.items() <= p["metadata"]["labels"].items()]
        assert found == [name]
    for name, service in of_kind(resources, "Service").items():
        selector = service["spec"]["selector"]
        (pod,) = (p for p in templates.values() if selector.items() <= p["metadata"]["labels"].items())
        ports = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name


def test_a_pool_of_agents() -> None:
    resources = render(VARIANTS["pools"])
    assert sorted(n for n in pods(resources) if "-agent-" in n) == [
        "bell-harebell-agent-gpu",
        "bell-harebell-agent-infra",
    ]
    deployment = of_kind(resources, "Deployment")["bell-harebell-agent-gpu"]["spec"]
    pod = deployment["template"]
    assert deployment["replicas"] == 5
    assert pod["metadata"]["labels"]["harebell.dev/agent-type"] == "llm"
    assert pod["spec"]["terminationGracePeriodSeconds"] == 145
    assert pod["spec"]["nodeSelector"] == {"gpu": "yes"}
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["spec"]["containers"][0]["image"] == f"registry.example.org:5000/me/agent@{DIGEST}"
    # Given limits join the default ones.
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {
        "memory": "1Gi",
        "ephemeral-storage": "512Mi",
        "nvidia.com/gpu": 1,
    }
    env = environment(resources, "bell-harebell-agent-gpu/agent")
    fields = {name: value["fieldRef"]["fieldPath"] for name, value in env.items() if isinstance(value, dict)}
    assert fields == {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_UID": "metadata.uid",
        "NODE_NAME": "spec.nodeName",
    }
    assert json.loads(env["HAREBELL_COMMAND_ALLOW"]) == [
        ["df"],
        {"argv": ["git", "status"], "idempotent": True},
    ]
    assert {name: env[name] for name in env if name not in {*fields, "HAREBELL_COMMAND_ALLOW"}} == {
        "HAREBELL_AMQP_URL_FILE": "/etc/harebell/amqp/url",
        "HAREBELL_AMQP_CA_FILE": "/etc/harebell/amqp/ca.crt",
        "HAREBELL_AGENT_TYPE": "llm",
        "HAREBELL_AGENT_CONCURRENCY": "4",
        "HAREBELL_AGENT_MODULE": "my.agents:llm",
        "HAREBELL_DRAIN_SECONDS": "120",
        "HAREBELL_LOG_LEVEL": "INFO",
        "HAREBELL_PORT": "9091",
        "MODE": "fast",
    }


def test_a_pool_does_not_change_the_next() -> None:
    agents = {
        "infra": {"type": "other", "commandAllow": [["df"]], "resources": {"limits": {"memory": "9Gi"}}}
    }
    resources = render({"agents": agents})
    assert environment(resources, "bell-harebell-agent-text/agent")["HAREBELL_COMMAND_ALLOW"] == "[]"
    text = dict(containers(resources))["bell-harebell-agent-text/agent"]
    assert text["resources"]["limits"] == {"memory": "256Mi", "ephemeral-storage": "512Mi"}


@pytest.mark.parametrize("variant", ["default", "external"])
def test_the_archiver_knows_broker_and_database(variant: str) -> None:
    resources = render(VARIANTS[variant] | {"archiver": {"retentionDays": 30}})
    name = "bell-harebell-archiver"
    database = "my-database" if variant == "external" else "bell-harebell-postgresql"
    (volume,) = (v for v in pods(resources)[name]["spec"]["volumes"] if v["name"] == "database")
    assert volume["secret"]["secretName"] == database
    env = environment(resources, f"{name}/archiver")
    assert env["HAREBELL_DATABASE_URL_FILE"] == "/etc/harebell/database/url"
    assert env["HAREBELL_RETENTION_DAYS"] == "30"
    assert of_kind(resources, "Deployment")[name]["spec"]["strategy"] == {"type": "Recreate"}
    operator = environment(resources, "bell-harebell-operator/operator")
    assert (operator["HAREBELL_ARCHIVE"], operator["HAREBELL_RECORD_HEARTBEATS"]) == ("true", "false")


@pytest.mark.parametrize(("given", "seconds"), [({}, "86400"), ({"agentTtlSeconds": 31536000}, "31536000")])
def test_how_long_offline_agents_are_kept(given: dict[str, int], seconds: str) -> None:
    resources = render({"operator": given})
    env = environment(resources, "bell-harebell-operator/operator")
    assert env["HAREBELL_AGENT_TTL_SECONDS"] == seconds


@pytest.mark.parametrize("variant", ["default", "external"])
def test_the_api_reads_the_archive_as_nobody_who_may_write(variant: str) -> None:
    resources = render(VARIANTS[variant])
    reader = "my-reader" if variant == "external" else "bell-harebell-postgresql-reader"
    pod = pods(resources)["bell-harebell-operator"]["spec"]
    (volume,) = (v for v in pod["volumes"] if v["name"] == "archive")
    assert volume["secret"] == {"secretName": reader, "items": [{"key": "url", "path": "url"}]}
    container = "bell-harebell-operator/api"
    assert environment(resources, container)["HAREBELL_ARCHIVE_URL_FILE"] == "/etc/harebell/archive/url"
    # Only of a server of its own does the release make users.
    archiver = environment(resources, "bell-harebell-archiver/archiver")
    assert ("HAREBELL_READER_PASSWORD_FILE" in archiver) == (variant == "default")


def test_without_a_reader_the_api_does_without_the_archive() -> None:
    external = {"embedded": {"enabled": False}, "external": {"existingSecret": "my-database"}}
    resources = render({"postgresql": external})
    assert "HAREBELL_ARCHIVE_URL_FILE" not in environment(resources, "bell-harebell-operator/api")
    assert [name for name in pods(resources) if "archiver" in name]


def test_without_postgresql_there_is_no_archiver() -> None:
    resources = render({"postgresql": {"embedded": {"enabled": False}}})
    assert not [name for name in pods(resources) if "archiver" in name]
    assert environment(resources, "bell-harebell-operator/operator")["HAREBELL_ARCHIVE"] == "false"
    assert ARCHIVER_USER not in {user["name"] for user in definitions(resources)["users"]}


@pytest.mark.parametrize("replicas", [1, 2])
def test_one_operator_is_replaced_by_another_as_several_are(replicas: int) -> None:
    resources = render({"operator": {"replicas": replicas}})
    name = "bell-harebell-operator"
    workload = of_kind(resources, "Deployment")[name]["spec"]
    several = replicas > 1
    assert workload["replicas"] == replicas
    one_more = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert workload["strategy"] == one_more
    operator = environment(resources, f"{name}/operator")
    assert operator["HAREBELL_LEASE"] == name
    # Nobody waits to take it from the only one, which is not to end because the API server restarts.
    assert operator["HAREBELL_LEASE_SECONDS"] == ("10" if several else "60")
    assert (name in of_kind(resources, "PodDisruptionBudget")) is several


def test_a_pod_that_cannot_start_is_replaced_when_its_mistake_is_corrected() -> None:
    for name, workload in of_kind(render(), "StatefulSet").items():
        assert workload["spec"]["podManagementPolicy"] == "Parallel", name
