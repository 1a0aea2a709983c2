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
    VARIANTS,
    containers,
    every_variant,
    render,
    run_helm,
)


@every_variant
def test_lint(variant: str) -> None:
    done = run_helm("lint", "--strict", str(CHART), values=VARIANTS[variant])
    assert done.returncode == 0, done.stdout + done.stderr


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
    ],
)
def test_mistakes_are_refused(values: dict[str, Any], complaint: str) -> None:
    done = run_helm("template", "bell", str(CHART), values=values)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_every_value_the_schema_knows_is_explained_in_the_values_file() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def walk(part: dict[str, Any], values: Any, path: str) -> Iterator[str]:
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]]
        for name, inner in part.get("properties", {}).items():
            if not isinstance(values, dict) or name not in values:
                yield f"{path}{name}"
            else:
                yield from walk(inner, values[name], f"{path}{name}.")

    unexplained = set(walk(schema, yaml.safe_load((CHART / "values.yaml").read_text()), ""))
    # Helm's own, and a field of Kubernetes that stays possible.
    assert {
        each for each in unexplained if each != "global" and not each.endswith(".resources.claims")
    } == set()


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
    "name", ["agentpools.yaml", "agents.yaml", "announcements.yaml", "buses.yaml", "tasks.yaml"]
)
def test_definitions_are_the_generated_ones(name: str) -> None:
    assert (CHART / "crds" / name).read_bytes() == (REPOSITORY / "crds" / name).read_bytes()
