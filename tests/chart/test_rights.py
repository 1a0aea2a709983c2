"""What Pods may do, in Kubernetes and on their node, and what is kept secret."""

import base64
import json
import re

import pytest
from tests.support.chart import VARIANTS, containers, every_variant, of_kind, pods, render, secret_texts

from harebell_crds.task import MAX_PAYLOAD_BYTES


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
        "harebell.dev/announcements": look | {"create", "delete"},
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
