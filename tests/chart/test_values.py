"""The values: what they may be, and that each does what it says."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.support.chart import (
    CHART,
    DIGEST,
    REPOSITORY,
    containers,
    render,
    run_helm,
)

from harebell_archive.settings import Settings as ArchiveSettings
from harebell_archive.settings import SettingsError as ArchiveSettingsError
from harebell_operator.settings import Settings as OperatorSettings


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"agent": {}}, "agent"),
        ({"agents": {"text": {"replica": 1}}}, "replica"),
        ({"agents": {"Text": {}}}, "Text"),
        ({"agents": {"text": {"type": "a b"}}}, "type"),
        ({"agents": {"text": {"concurrency": 0}}}, "concurrency"),
        ({"agents": {"text": {"commandAllow": ["df"]}}}, "commandAllow"),
        ({"agents": {"text": {"commandAllow": [[]]}}}, "commandAllow"),
        ({"agents": {"text": {"commandAllow": [{"argv": ["df"], "again": True}]}}}, "commandAllow"),
        ({"operator": {"image": {"digest": "latest"}}}, "digest"),
        ({"rabbitmq": {"embedded": {"replicas": 2}}}, "replicas"),
        ({"rabbitmq": {"embedded": {"image": {"tag": ""}}}}, "tag"),
        ({"rabbitmq": {"embedded": {"persistence": {"whenDeleted": "delete"}}}}, "whenDeleted"),
        ({"rabbitmq": {"embedded": {"enabled": False}}}, "rabbitmq.external.existingSecret"),
        ({"rabbitmq": {"embedded": {"tls": {"extraNames": ["a b"]}}}}, "extraNames"),
        (
            {"rabbitmq": {"embedded": {"tls": {"existingSecret": "s", "requireClientCertificate": True}}}},
            "existingAmqpCertSecret of",
        ),
        ({"api": {"ingress": {"path": "/"}}}, "path"),
        ({"api": {"bootstrapKey": {"enable": False}}}, "enable"),
        ({"api": {"kubernetesTokens": {"enabled": True, "audience": ""}}}, "audience"),
        ({"archiver": {"retentionDays": 0}}, "retentionDays"),
        ({"logLevel": "verbose"}, "logLevel"),
        ({"rbac": {"aggregate": True}}, "aggregate"),
        ({"operator": {"priorityClassName": "High"}}, "priorityClassName"),
        ({"archiver": {"topologySpreadConstraints": {}}}, "topologySpreadConstraints"),
        ({"networkPolicy": {"enabled": "yes"}}, "enabled"),
        ({"networkPolicy": {"api": {"from": [{"namespace": {}}]}}}, "namespace"),
        ({"networkPolicy": {"apiServer": {"ports": [0]}}}, "ports"),
        ({"monitoring": {"interval": "often"}}, "interval"),
        ({"api": {"ingress": {"host": "Bell"}}}, "host"),
    ],
)
def test_mistakes_are_refused(values: dict[str, Any], complaint: str) -> None:
    done = run_helm("template", "bell", str(CHART), values=values)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_every_value_the_schema_knows_is_in_the_values_file() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def walk(part: dict[str, Any], values: Any, path: str) -> Iterator[str]:
        for name, inner in part.get("properties", {}).items():
            if not isinstance(values, dict) or name not in values:
                yield f"{path}{name}"
            else:
                yield from walk(inner, values[name], f"{path}{name}.")

    absent = set(walk(schema, yaml.safe_load((CHART / "values.yaml").read_text()), ""))
    # Helm's own, and a field of Kubernetes that stays possible.
    assert {each for each in absent if each != "global" and not each.endswith(".resources.claims")} == set()


def test_the_archivers_bounds_are_those_of_its_settings() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    bounds = schema["properties"]["archiver"]["properties"]["retentionDays"]
    environment = {"HAREBELL_AMQP_URL": "amqp://a:b@c/d", "HAREBELL_DATABASE_URL": "postgresql://a:b@c/d"}

    def read(days: int) -> int:
        return ArchiveSettings.from_environment(
            environment | {"HAREBELL_RETENTION_DAYS": str(days)}
        ).retention_days

    assert [read(bounds["minimum"]), read(bounds["maximum"])] == [1, 36500]
    for days in (bounds["minimum"] - 1, bounds["maximum"] + 1):
        with pytest.raises(ArchiveSettingsError, match="HAREBELL_RETENTION_DAYS"):
            read(days)


def test_the_operators_smallest_values_are_taken_by_its_settings() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    of = schema["properties"]["operator"]["properties"]
    settings = OperatorSettings.from_environment(
        {
            "HAREBELL_AMQP_URL": "amqp://a:b@c/d",
            "HAREBELL_NAMESPACE": "agents",
            "HAREBELL_HEARTBEAT_SECONDS": str(of["heartbeatSeconds"]["minimum"]),
            "HAREBELL_OFFLINE_SECONDS": str(of["offlineSeconds"]["minimum"] + 1),
            "HAREBELL_AGENT_TTL_SECONDS": str(of["agentTtlSeconds"]["minimum"]),
        }
    )
    assert (settings.heartbeat_seconds, settings.agent_ttl) == (1, None)


def test_images() -> None:
    def images(values: dict[str, Any]) -> dict[str, str]:
        return {name.removeprefix("bell-harebell-"): c["image"] for name, c in containers(render(values))}

    plain = images({})
    for container in ("operator/operator", "operator/api", "archiver/archiver"):
        assert plain[container] == "harebell/control-plane:0.1.0"
    assert plain["agent-text/agent"] == "harebell/agent:0.1.0"
    assert plain["rabbitmq/rabbitmq"] == "rabbitmq:4.3"
    assert plain["postgresql/postgresql"] == "postgres:17"
    chosen = {"registry": "r.example.org:5000", "tag": "7", "digest": DIGEST}
    pinned = images({"operator": {"image": chosen}, "agentDefaults": {"image": chosen | {"digest": ""}}})
    assert pinned["operator/operator"] == f"r.example.org:5000/harebell/control-plane@{DIGEST}"
    assert pinned["agent-text/agent"] == "r.example.org:5000/harebell/agent:7"


@pytest.mark.parametrize(
    ("own", "image"),
    [
        ({"repository": "my/agent", "tag": "3"}, "r.example.org/my/agent:3"),
        ({"repository": "my/agent"}, "r.example.org/my/agent:7"),
        ({"tag": "3"}, "r.example.org/harebell/agent:3"),
        ({"tag": "3", "digest": f"sha256:{'f' * 64}"}, f"r.example.org/harebell/agent@sha256:{'f' * 64}"),
        ({"registry": "mirror.example.org"}, f"mirror.example.org/harebell/agent@{DIGEST}"),
    ],
)
def test_the_digest_of_the_default_image_is_not_taken_for_another(own: dict[str, str], image: str) -> None:
    usual = {"registry": "r.example.org", "tag": "7", "digest": DIGEST}
    values = {"agentDefaults": {"image": usual}, "agents": {"mine": {"image": own}}}
    found = {name: c["image"] for name, c in containers(render(values))}
    assert found["bell-harebell-agent-mine/agent"] == image
    assert found["bell-harebell-agent-text/agent"] == f"r.example.org/harebell/agent@{DIGEST}"


@pytest.mark.parametrize(
    "name", ["agentpools.yaml", "agents.yaml", "announcements.yaml", "buses.yaml", "tasks.yaml"]
)
def test_definitions_are_the_generated_ones(name: str) -> None:
    assert (CHART / "crds" / name).read_bytes() == (REPOSITORY / "crds" / name).read_bytes()
