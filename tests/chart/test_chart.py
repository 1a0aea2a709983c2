"""The Helm chart, as rendered: what must hold whatever the values are. No cluster is asked."""

import base64
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from harebell_bus.permissions import (
    ARCHIVER_USER,
    OPERATOR_USER,
    agent_permissions,
    agent_user,
    archiver_permissions,
    operator_permissions,
)
from harebell_bus.topology import Exchange, base_topology
from harebell_crds.task import MAX_PAYLOAD_BYTES

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "charts" / "harebell"
DIGEST = f"sha256:{'0123456789abcdef' * 4}"

# A first run may have to build helm.
pytestmark = pytest.mark.timeout(900)

EXTERNAL = {
    "rabbitmq": {
        "embedded": {"enabled": False},
        "external": {"existingSecret": "my-broker", "caKey": "ca.pem"},
    },
    "postgresql": {
        "embedded": {"enabled": False},
        "external": {"existingSecret": "my-database", "existingReaderSecret": "my-reader"},
    },
    "api": {"existingSecret": "my-keys"},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "external": EXTERNAL,
    "cluster": {"rabbitmq": {"embedded": {"replicas": 3}}},
    "replicas": {"operator": {"replicas": 2}},
    "exposed": {"api": {"ingress": {"enabled": True, "host": "bell.example.org"}}},
    "plain": {"rabbitmq": {"embedded": {"tls": {"enabled": False}}}},
    "certificate": {
        "rabbitmq": {
            "embedded": {"tls": {"existingSecret": "my-certificate", "requireClientCertificate": True}}
        },
        "operator": {"existingAmqpCertSecret": "my-client"},
        "agentDefaults": {"existingAmqpCertSecret": "my-client"},
        "archiver": {"existingAmqpCertSecret": "my-client"},
    },
    "pools": {
        "imagePullSecrets": [{"name": "registry"}],
        "agents": {
            "text": None,
            "gpu": {
                "type": "llm",
                "replicas": 5,
                "concurrency": 4,
                "drainSeconds": 120,
                "image": {
                    "registry": "registry.example.org:5000",
                    "repository": "me/agent",
                    "digest": DIGEST,
                },
                "module": "my.agents:llm",
                "commandAllow": [["df"], ["git", "status"]],
                "env": [{"name": "MODE", "value": "fast"}],
                "nodeSelector": {"gpu": "yes"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "resources": {"limits": {"memory": "1Gi", "nvidia.com/gpu": 1}},
            },
        },
    },
}
CONTAINERS = {"operator": "operator", "agent-text": "agent"}
every_variant = pytest.mark.parametrize("variant", VARIANTS)


@functools.cache
def helm() -> str:
    found = os.environ.get("HAREBELL_HELM") or shutil.which("helm")
    if found:
        return found
    command = [sys.executable, "-m", "tests.cluster", "tool", "helm"]
    return subprocess.run(
        command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def run_helm(*args: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    # No kubeconfig: a test of files must not depend on, or reach, a cluster.
    env = os.environ | {"KUBECONFIG": os.devnull}
    command = [helm(), *args, "--values", "-"]
    return subprocess.run(
        command, input=json.dumps(values), env=env, capture_output=True, text=True, check=False
    )


@functools.cache
def _render(values: str, release: str, namespace: str) -> list[dict[str, Any]]:
    done = run_helm("template", release, str(CHART), "--namespace", namespace, values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def render(
    values: dict[str, Any] | None = None, release: str = "bell", namespace: str = "agents"
) -> list[dict[str, Any]]:
    return _render(json.dumps(values or {}), release, namespace)


def of_kind(resources: list[dict[str, Any]], *kinds: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in resources if each["kind"] in kinds}


def pods(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Pod templates by their owner's name."""
    return {n: w["spec"]["template"] for n, w in of_kind(resources, "Deployment", "StatefulSet").items()}


def containers(resources: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, pod in pods(resources).items():
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            yield f"{name}/{container['name']}", container


def environment(resources: list[dict[str, Any]], container: str) -> dict[str, Any]:
    env = dict(containers(resources))[container]["env"]
    assert len({each["name"] for each in env}) == len(env)
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in env}


def secret_texts(resources: list[dict[str, Any]]) -> Iterator[str]:
    for secret in of_kind(resources, "Secret").values():
        yield from secret.get("stringData", {}).values()
        yield from (base64.b64decode(value).decode() for value in secret.get("data", {}).values())


@every_variant
def test_lint(variant: str) -> None:
    done = run_helm("lint", "--strict", str(CHART), values=VARIANTS[variant])
    assert done.returncode == 0, done.stdout + done.stderr


@every_variant
def test_pod_security_restricted(variant: str) -> None:
    resources = render(VARIANTS[variant])
    for name, pod in pods(resources).items():
        spec = pod["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] == (999 if name.endswith(("-rabbitmq", "-postgresql")) else 65532), name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        kinds = {key for volume in spec["volumes"] for key in volume} - {"name"}
        assert kinds <= {"secret", "configMap", "projected", "emptyDir"}, name
    for name, container in containers(resources):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


@every_variant
def test_every_container_can_be_watched_and_bounded(variant: str) -> None:
    for name, container in containers(render(VARIANTS[variant])):
        named = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            action = container[probe].get("httpGet") or container[probe].get("tcpSocket")
            assert action is None or action["port"] in named, name
        assert container["resources"]["limits"]["memory"], name
        assert "cpu" not in container["resources"]["limits"], name
        assert container["imagePullPolicy"] == "IfNotPresent", name


@every_variant
def test_the_operator_alone_has_a_token(variant: str) -> None:
    resources = render(VARIANTS[variant])
    tokens = {name: pod["spec"]["automountServiceAccountToken"] for name, pod in pods(resources).items()}
    assert tokens.pop("bell-harebell-operator") is True
    assert not any(tokens.values()), tokens
    (account,) = of_kind(resources, "ServiceAccount").values()
    assert account["automountServiceAccountToken"] is False


def test_rights() -> None:
    resources = render()
    assert not of_kind(resources, "ClusterRole", "ClusterRoleBinding")
    (role,) = of_kind(resources, "Role").values()
    granted = {
        f"{group}/{resource}".lstrip("/"): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    change = {"create", "patch", "delete"}
    look = {"get", "list", "watch"}
    assert granted == {
        "harebell.dev/tasks": look | change,
        "harebell.dev/agents": look | change,
        "harebell.dev/announcements": look,
        "harebell.dev/agentpools": look,
        "harebell.dev/agentpools/status": {"patch"},
        "harebell.dev/announcements/status": {"patch"},
        "harebell.dev/buses": {"get", "create"},
        "harebell.dev/buses/status": {"patch"},
        "harebell.dev/tasks/status": {"patch"},
        "harebell.dev/agents/status": {"patch"},
        "pods": look | {"create", "delete"},
        "events": {"create", "patch"},
        "events.k8s.io/events": {"create", "patch"},
        "coordination.k8s.io/leases": look | {"create", "update", "patch"},
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("bell", "one"), ("bell", "two")),
        (("bell", "one"), ("ring", "one")),
        (("b-c", "a"), ("c", "a-b")),
        (("b.c", "a"), ("c", "a-b")),
    ],
)
def test_two_releases_share_no_cluster_scoped_name(first: tuple[str, str], second: tuple[str, str]) -> None:
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    names = [set(of_kind(render(None, *each), *kinds)) for each in (first, second)]
    assert names[0]
    assert not names[0] & names[1]


@every_variant
def test_nothing_else_is_cluster_scoped_or_elsewhere(variant: str) -> None:
    namespaced = {
        *("Deployment", "StatefulSet", "Service", "ServiceAccount", "Secret", "ConfigMap"),
        *("Role", "RoleBinding", "Ingress", "PodDisruptionBudget"),
    }
    for resource in render(VARIANTS[variant]):
        if not resource["kind"].startswith("ValidatingAdmissionPolicy"):
            assert resource["kind"] in namespaced
            assert resource["metadata"].get("namespace", "agents") == "agents"


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


def amqp_files(resources: list[dict[str, Any]], pod: str) -> dict[str, str]:
    """What a Pod's folder for the broker holds: SECRET/KEY by the file's name."""
    (amqp,) = (v for v in pods(resources)[pod]["spec"]["volumes"] if v["name"] == "amqp")
    secrets = [source["secret"] for source in amqp["projected"]["sources"]]
    return {item["path"]: f"{s['name']}/{item['key']}" for s in secrets for item in s["items"]}


def amqp_secrets(resources: list[dict[str, Any]]) -> dict[str, str]:
    """The Secret each Pod mounts a broker's URL from, by the Pod's component."""
    return {
        name.removeprefix("bell-harebell-"): amqp_files(resources, name)["url"].removesuffix("/url")
        for name in pods(resources)
        if not name.endswith(("-rabbitmq", "-postgresql"))
    }


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


def definitions(resources: list[dict[str, Any]]) -> dict[str, Any]:
    text = of_kind(resources, "Secret")["bell-harebell-rabbitmq"]["stringData"]["definitions.json"]
    found: dict[str, Any] = json.loads(text)
    return found


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


def test_rabbitmq_starts_with_its_users_and_no_default_one() -> None:
    resources = render()
    config = of_kind(resources, "ConfigMap")["bell-harebell-rabbitmq"]["data"]["rabbitmq.conf"]
    assert "load_definitions = /etc/harebell/rabbitmq/definitions.json\n" in config
    assert "default_user" not in "".join([config, *secret_texts(resources)])


@every_variant
def test_secrets_stay_in_secrets(variant: str) -> None:
    resources = render(VARIANTS[variant])
    secrets = {word for text in secret_texts(resources) for word in re.findall(r"\w{32,}", text)}
    rest = json.dumps([each for each in resources if each["kind"] != "Secret"])
    assert not [secret for secret in secrets if secret in rest]
    for name, container in containers(resources):
        for variable in container["env"]:
            if re.search("PASS|KEY|TOKEN|SECRET|COOKIE|URL", variable["name"]):
                # Those of pools name a Secret and a key in it.
                assert variable["name"].endswith("_FILE") or "_POOL_AMQP_" in variable["name"], name


def test_generated_secrets() -> None:
    secrets = {
        name.removeprefix("bell-harebell-"): secret for name, secret in of_kind(render(), "Secret").items()
    }
    keys = base64.b64decode(secrets["api-keys"]["data"]["keys"]).decode()
    assert re.fullmatch(r"default:\w{40}\n", keys)
    broker, database = secrets["rabbitmq"]["stringData"], secrets["postgresql"]["stringData"]
    assert database["url"] == (
        f"postgresql://harebell:{database['password']}@bell-harebell-postgresql.agents.svc:5432/harebell"
    )
    users = [secret["stringData"]["password"] for name, secret in secrets.items() if "amqp-" in name]
    assert len(users) == 4
    reader = secrets["postgresql-reader"]["stringData"]
    assert reader["url"] == database["url"].replace(
        f"harebell:{database['password']}", f"harebell_reader:{reader['password']}"
    )
    made = [*users, broker["erlang-cookie"], database["password"], reader["password"], keys]
    assert len(set(made)) == len(made)
    assert min(map(len, made)) >= 32


@pytest.mark.parametrize("kept", [True, False])
def test_passwords_stay_as_long_as_the_volumes(kept: bool) -> None:
    persistence = {"persistence": {"whenDeleted": "Retain" if kept else "Delete"}}
    resources = render({"rabbitmq": {"embedded": persistence}, "postgresql": {"embedded": persistence}})
    for workload in of_kind(resources, "StatefulSet").values():
        policy = workload["spec"]["persistentVolumeClaimRetentionPolicy"]
        assert policy["whenDeleted"] == persistence["persistence"]["whenDeleted"]
    annotated = {
        name.removeprefix("bell-harebell-")
        for name, secret in of_kind(resources, "Secret").items()
        if secret["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    # RabbitMQ's are set anew at every start.
    assert annotated == ({"postgresql"} if kept else set())


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
    assert pod["spec"]["terminationGracePeriodSeconds"] == 130
    assert pod["spec"]["nodeSelector"] == {"gpu": "yes"}
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["spec"]["containers"][0]["image"] == f"registry.example.org:5000/me/agent@{DIGEST}"
    # Given limits join the default ones.
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"memory": "1Gi", "nvidia.com/gpu": 1}
    env = environment(resources, "bell-harebell-agent-gpu/agent")
    fields = {name: value["fieldRef"]["fieldPath"] for name, value in env.items() if isinstance(value, dict)}
    assert fields == {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_UID": "metadata.uid",
        "NODE_NAME": "spec.nodeName",
    }
    assert json.loads(env["HAREBELL_COMMAND_ALLOW"]) == [["df"], ["git", "status"]]
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
    assert text["resources"]["limits"] == {"memory": "256Mi"}


def test_the_ingress_shows_the_api_and_nothing_else() -> None:
    assert not of_kind(render(), "Ingress")
    resources = render(VARIANTS["exposed"])
    (ingress,) = of_kind(resources, "Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == ("bell.example.org", "/api/v1", "Prefix")
    backend = path["backend"]["service"]
    service = of_kind(resources, "Service")[backend["name"]]
    assert backend["port"] == {"name": service["spec"]["ports"][0]["name"]}


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
    assert (name in of_kind(resources, "PodDisruptionBudget")) is (replicas > 1)


@pytest.mark.parametrize("replicas", [1, 2])
def test_operators_share_a_lease_only_where_there_are_several(replicas: int) -> None:
    resources = render({"operator": {"replicas": replicas}})
    name = "bell-harebell-operator"
    workload = of_kind(resources, "Deployment")[name]["spec"]
    several = replicas > 1
    assert workload["replicas"] == replicas
    assert workload["strategy"]["type"] == ("RollingUpdate" if several else "Recreate")
    assert environment(resources, f"{name}/operator").get("HAREBELL_LEASE") == (name if several else None)
    assert (name in of_kind(resources, "PodDisruptionBudget")) is several


def test_a_pod_that_cannot_start_is_replaced_when_its_mistake_is_corrected() -> None:
    for name, workload in of_kind(render(), "StatefulSet").items():
        assert workload["spec"]["podManagementPolicy"] == "Parallel", name


def test_a_new_configuration_restarts_rabbitmq_and_more_nodes_do_not() -> None:
    def template(agents: dict[str, Any] | None = None, **embedded: Any) -> Any:
        resources = render({"rabbitmq": {"embedded": embedded}, "agents": agents or {}})
        pod: dict[str, Any] = pods(resources)["bell-harebell-rabbitmq"]
        # Without a cluster to keep them, passwords are new each time.
        annotations = {k: v for k, v in pod["metadata"]["annotations"].items() if k != "checksum/passwords"}
        return pod | {"metadata": pod["metadata"] | {"annotations": annotations}}

    assert template(diskFreeLimit="1GB") != template()
    assert template(extraConfig="heartbeat = 30") != template()
    assert template(replicas=3) == template()
    # A user more, or only another pool of a type there is.
    assert template({"gpu": {"type": "llm"}}) != template()
    assert template({"more": {"type": "text", "replicas": 9}}) == template()


def test_admission_policy() -> None:
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    resources = render()
    policy, binding = (next(iter(of_kind(resources, kind).values()))["spec"] for kind in kinds)
    constraints = policy["matchConstraints"]
    assert constraints["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "agents"}}
    (rule,) = constraints["resourceRules"]
    assert (rule["apiGroups"], rule["resources"]) == (["harebell.dev"], ["tasks"])
    assert policy["failurePolicy"] == "Fail"
    assert binding["policyName"] in of_kind(resources, kinds[0])
    assert str(MAX_PAYLOAD_BYTES) in policy["validations"][0]["expression"]
    assert all("spec.payload" in validation["message"] for validation in policy["validations"])
    assert not of_kind(render({"admissionPolicy": {"enabled": False}}), *kinds)


@pytest.mark.parametrize(
    "name", ["agentpools.yaml", "agents.yaml", "announcements.yaml", "buses.yaml", "tasks.yaml"]
)
def test_definitions_are_the_generated_ones(name: str) -> None:
    assert (CHART / "crds" / name).read_bytes() == (REPOSITORY / "crds" / name).read_bytes()
