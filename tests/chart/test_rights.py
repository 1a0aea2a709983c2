"""What Pods may do, in Kubernetes and on their node, and what is kept secret."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.chart import (
    VARIANTS,
    containers,
    environment,
    every_variant,
    of_kind,
    pods,
    render,
    secret_texts,
)

from harebell_crds.keys import Scope, id_of, parse_record
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


def granted(role: dict[str, Any]) -> dict[str, set[str]]:
    return {
        f"{group}/{resource}".lstrip("/"): set(rule["verbs"])
        for rule in role["rules"]
        if "resourceNames" not in rule
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_rights() -> None:
    resources = render()
    assert not of_kind(resources, "ClusterRoleBinding")
    (role,) = of_kind(resources, "Role").values()
    assert [rule for rule in role["rules"] if "resourceNames" in rule] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["bell-harebell-api-keys"],
            "verbs": ["get", "watch"],
        },
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["bell-harebell-operator"],
            "verbs": ["get", "update", "patch"],
        },
    ]
    change = {"create", "patch", "delete"}
    look = {"get", "list", "watch"}
    assert granted(role) == {
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
        "coordination.k8s.io/leases": {"create"},
    }


def test_rights_of_people_join_the_roles_of_the_cluster() -> None:
    roles = of_kind(render(), "ClusterRole")
    aggregated = {
        label.removeprefix("rbac.authorization.k8s.io/aggregate-to-"): granted(role)
        for role in roles.values()
        for label in role["metadata"]["labels"]
        if "/aggregate-to-" in label
    }
    assert aggregated.keys() == {"view", "edit", "admin"}
    kinds = {f"harebell.dev/{r}" for r in ("tasks", "agents", "announcements", "agentpools", "buses")}
    view = aggregated["view"]
    assert {name for name in view if name.count("/") == 1} == kinds
    # Who may look changes nothing; the status and what is Kubernetes' own, nobody of them does.
    assert set().union(*view.values()) == {"get", "list", "watch"}
    for verbs in (aggregated["edit"], aggregated["admin"]):
        assert all(name.startswith("harebell.dev/") and not name.endswith("/status") for name in verbs)
        assert "*" not in set().union(*verbs.values())
    assert aggregated["edit"].keys() == (kinds - {"harebell.dev/buses"}) | {"harebell.dev/agentpools/scale"}
    assert aggregated["admin"].keys() == {"harebell.dev/buses"}
    assert not of_kind(render(VARIANTS["bare"]), "ClusterRole")


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
    kinds = (
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole", "ClusterRoleBinding",
    )  # fmt: skip
    tokens = {"api": {"kubernetesTokens": {"enabled": True}}}
    names = [set(of_kind(render(tokens, *each), *kinds)) for each in (first, second)]
    assert names[0]
    assert not names[0] & names[1]


@every_variant
def test_nothing_else_is_cluster_scoped_or_elsewhere(variant: str) -> None:
    namespaced = {
        *("Deployment", "StatefulSet", "Service", "ServiceAccount", "Secret", "ConfigMap"),
        *("Role", "RoleBinding", "Ingress", "PodDisruptionBudget", "NetworkPolicy", "HTTPRoute"),
        *("ServiceMonitor", "PodMonitor", "PrometheusRule"),
    }
    for resource in render(VARIANTS[variant]):
        if not resource["kind"].startswith(("ValidatingAdmissionPolicy", "ClusterRole")):
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
                # Those of pools name a Secret and a key in it; so does that of the API's keys.
                names_one = "_POOL_AMQP_" in variable["name"] or variable["name"] == "HAREBELL_API_KEY_SECRET"
                assert variable["name"].endswith("_FILE") or names_one, name


def test_generated_secrets() -> None:
    secrets = {
        name.removeprefix("bell-harebell-"): secret for name, secret in of_kind(render(), "Secret").items()
    }
    key = secrets["api-bootstrap-key"]["stringData"]["key"]
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
    made = [*users, broker["erlang-cookie"], database["password"], reader["password"], key]
    assert len(set(made)) == len(made)
    assert min(map(len, made)) >= 32


def test_the_first_key_is_one_that_the_api_takes() -> None:
    secrets = of_kind(render(), "Secret")
    key = secrets["bell-harebell-api-bootstrap-key"]["stringData"]["key"]
    (entry,) = secrets["bell-harebell-api-keys"]["stringData"].items()
    record = parse_record(entry[0], entry[1].encode())
    assert record.is_of(key)
    assert (id_of(key), record.name, record.scopes) == ("bootstrap", "bootstrap", frozenset({Scope.ADMIN}))
    assert abs(datetime.now(UTC) - record.created_at) < timedelta(hours=1)
    for name in ("bell-harebell-api-bootstrap-key", "bell-harebell-api-keys"):
        # Not a part of the release: neither an upgrade nor a rollback writes over what was revoked since.
        assert secrets[name]["metadata"]["annotations"] == {"helm.sh/hook": "pre-install,pre-upgrade"}


def test_without_a_first_key_the_secret_is_there_to_be_filled() -> None:
    secrets = of_kind(render({"api": {"bootstrapKey": {"enabled": False}}}), "Secret")
    assert "bell-harebell-api-bootstrap-key" not in secrets
    assert "stringData" not in secrets["bell-harebell-api-keys"]


def test_no_keys_are_made_beside_those_that_are_given() -> None:
    resources = render({"api": {"existingSecret": "my-keys"}})
    assert not [name for name in of_kind(resources, "Secret") if "api" in name]
    assert environment(resources, "bell-harebell-operator/api")["HAREBELL_API_KEY_SECRET"] == "my-keys"
    (role,) = of_kind(resources, "Role").values()
    secrets = (rule for rule in role["rules"] if "secrets" in rule["resources"])
    assert [rule["resourceNames"] for rule in secrets] == [["my-keys"]]


def test_no_pod_mounts_the_first_key() -> None:
    assert "api-bootstrap-key" not in json.dumps(list(pods(render()).values()))


def test_kubernetes_tokens_take_a_right_of_the_whole_cluster_and_only_where_they_are_wanted() -> None:
    tokens = {"enabled": True, "audience": "bell"}
    resources = render({"api": {"kubernetesTokens": tokens}})
    assert of_kind(resources, "ClusterRole") == of_kind(render(), "ClusterRole")  # those of people
    assert not of_kind(render(), "ClusterRoleBinding")
    (binding,) = of_kind(resources, "ClusterRoleBinding").values()
    assert binding["roleRef"]["name"] == "system:auth-delegator"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "bell-harebell", "namespace": "agents"}]
    env = environment(resources, "bell-harebell-operator/api")
    assert (env["HAREBELL_KUBERNETES_TOKENS"], env["HAREBELL_TOKEN_AUDIENCE"]) == ("true", "bell")
    assert "HAREBELL_KUBERNETES_TOKENS" not in environment(render(), "bell-harebell-operator/api")


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
