"""The Pods of an AgentPool: made from a template, and read."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harebell_crds.pool import PodTemplate
from harebell_operator.decide.pod import (
    Credentials,
    PodFacts,
    Trouble,
    pod_for,
    read_pod,
    template_hash,
)
from harebell_operator.decide.template import TemplateError

AGENT = {"name": "agent", "image": "harebell/agent"}
NAMES = st.sampled_from(
    (
        *("env", "name", "value", "ports", "containerPort", "securityContext", "volumes", "volumeMounts"),
        *("mountPath", "initContainers", "containers", "livenessProbe", "affinity"),
        *("topologySpreadConstraints", "terminationGracePeriodSeconds"),
    )
)


def template(agent: dict[str, Any] | None = None, **spec: Any) -> PodTemplate:
    return PodTemplate.model_validate({"spec": {"containers": [{**AGENT, **(agent or {})}], **spec}})


def made(of: PodTemplate, credentials: Credentials | None = None) -> dict[str, Any]:
    return pod_for("crew", "uid-1", "llm", of, credentials)


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    env = pod["spec"]["containers"][0]["env"]
    assert len({e["name"] for e in env}) == len(env)
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in env}


@pytest.mark.parametrize(
    ("drain", "given", "seconds"),
    [
        (None, {}, 45),
        ("60", {}, 85),
        ("2.5", {}, 28),
        ("soon", {}, 45),
        ("inf", {}, 45),
        ("60", {"terminationGracePeriodSeconds": 1}, 1),
    ],
)
def test_an_agent_has_time_to_drain_and_to_hand_back(
    drain: str | None, given: dict[str, int], seconds: int
) -> None:
    variables = [] if drain is None else [{"name": "HAREBELL_DRAIN_SECONDS", "value": drain}]
    assert made(template({"env": variables}, **given))["spec"]["terminationGracePeriodSeconds"] == seconds


def test_what_an_agent_needs_is_filled_in() -> None:
    pod = made(template(), Credentials("bell-amqp-agent-{type}", "ca.pem", "bell-ca", "bell-cert-{type}"))
    assert pod["metadata"]["generateName"] == "crew-"
    assert pod["metadata"]["labels"].keys() == {
        "harebell.dev/agent-type",
        "harebell.dev/agent-pool",
        "harebell.dev/template-hash",
    }
    (owner,) = pod["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("AgentPool", "uid-1", True)
    env = environment(pod)
    assert env["HAREBELL_AGENT_TYPE"] == "llm"
    assert env["POD_UID"] == {"fieldRef": {"fieldPath": "metadata.uid"}}
    assert env["HAREBELL_AMQP_URL_FILE"] == "/etc/harebell/amqp/url"
    assert env["HAREBELL_AMQP_CA_FILE"] == "/etc/harebell/amqp/ca.crt"
    volumes = {v["name"]: v for v in pod["spec"]["volumes"]}
    assert env["HAREBELL_AMQP_CERT_FILE"] == "/etc/harebell/amqp/tls.crt"
    assert env["HAREBELL_AMQP_KEY_FILE"] == "/etc/harebell/amqp/tls.key"
    secrets = [source["secret"] for source in volumes["harebell-amqp"]["projected"]["sources"]]
    assert [(s["name"], item["key"], item["path"]) for s in secrets for item in s["items"]] == [
        ("bell-amqp-agent-llm", "url", "url"),
        ("bell-ca", "ca.pem", "ca.crt"),
        ("bell-cert-llm", "tls.crt", "tls.crt"),
        ("bell-cert-llm", "tls.key", "tls.key"),
    ]


def test_the_ca_may_be_beside_the_url() -> None:
    (amqp, _) = made(template(), Credentials("url-and-ca", "ca.pem"))["spec"]["volumes"]
    assert [source["secret"]["name"] for source in amqp["projected"]["sources"]] == ["url-and-ca"] * 2


def test_the_agent_can_be_probed_and_mounts_everything() -> None:
    pod = made(template(), Credentials("secret"))
    volumes = {v["name"]: v for v in pod["spec"]["volumes"]}
    (agent,) = pod["spec"]["containers"]
    assert {m["name"] for m in agent["volumeMounts"]} == volumes.keys()
    assert {agent[p]["httpGet"]["port"] for p in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        9091
    }


def test_agents_are_spread_over_nodes_unless_the_template_says_where_they_go() -> None:
    (spread,) = made(template())["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= made(template())["metadata"]["labels"].items()
    assert "topologySpreadConstraints" not in made(template(affinity={"nodeAffinity": {}}))["spec"]
    assert made(template(topologySpreadConstraints=[]))["spec"]["topologySpreadConstraints"] == []


def test_it_meets_pod_security_restricted() -> None:
    spec = made(template(initContainers=[{"name": "first", "image": "i"}]))["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_template_has_the_last_word() -> None:
    said = template(
        {
            "env": [{"name": "HAREBELL_AMQP_URL_FILE", "value": "/mine"}, {"name": "MODE", "value": "fast"}],
            "securityContext": {"readOnlyRootFilesystem": False},
            "volumeMounts": [{"name": "scratch", "mountPath": "/tmp/"}],  # noqa: S108
            "livenessProbe": {"exec": {"command": ["true"]}},
            "resources": {"limits": {"nvidia.com/gpu": 1}},
        },
        securityContext={"runAsUser": 1000},
        volumes=[{"name": "scratch", "emptyDir": {}}],
        tolerations=[{"key": "gpu", "operator": "Exists"}],
        serviceAccountName="mine",
    )
    spec = made(said, Credentials("secret"))["spec"]
    assert environment({"spec": spec})["HAREBELL_AMQP_URL_FILE"] == "/mine"
    assert environment({"spec": spec})["MODE"] == "fast"
    assert [v["name"] for v in spec["volumes"]] == ["scratch"]
    (agent,) = spec["containers"]
    assert agent["securityContext"]["readOnlyRootFilesystem"] is False
    assert agent["livenessProbe"] == {"exec": {"command": ["true"]}}
    assert agent["resources"] == {"limits": {"nvidia.com/gpu": 1}}
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsNonRoot"]) == (1000, True)
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert spec["serviceAccountName"] == "mine"


def test_which_agent_is_in_which_pod_is_not_for_the_template_to_say() -> None:
    false = [{"name": n, "value": "x"} for n in ("POD_UID", "HAREBELL_AGENT_ID", "HAREBELL_AGENT_TYPE")]
    labels = {"harebell.dev/agent-pool": "other", "team": "red"}
    said = PodTemplate.model_validate(
        {"metadata": {"labels": labels}, "spec": {"containers": [{**AGENT, "env": false}]}}
    )
    pod = made(said)
    env = environment(pod)
    assert env["POD_UID"] == {"fieldRef": {"fieldPath": "metadata.uid"}}
    assert env["HAREBELL_AGENT_ID"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert env["HAREBELL_AGENT_TYPE"] == "llm"
    assert pod["metadata"]["labels"]["harebell.dev/agent-pool"] == "crew"
    assert pod["metadata"]["labels"]["team"] == "red"


@pytest.mark.parametrize(
    ("port", "probed"), [("8000", 8000), ("0", None), ("$(OTHER)", None), ("9" * 5000, None)]
)
def test_probes_ask_where_the_agent_answers(port: str, probed: int | None) -> None:
    (agent,) = made(template({"env": [{"name": "HAREBELL_PORT", "value": port}]}))["spec"]["containers"]
    assert agent.get("livenessProbe", {}).get("httpGet", {}).get("port") == probed
    declared = [{"name": "metrics", "containerPort": probed}] if probed else []
    assert agent.get("ports", []) == declared


@pytest.mark.parametrize(
    "own", [{"name": "metrics", "containerPort": 9999}, {"name": "web", "containerPort": 9091}]
)
def test_a_port_that_the_template_declares_stays_as_it_is(own: dict[str, Any]) -> None:
    assert made(template({"ports": [own]}))["spec"]["containers"][0]["ports"] == [own]


@pytest.mark.parametrize(
    ("agent", "spec", "place"),
    [
        ({"env": ["A=b"]}, {}, "containers.0.env.0"),
        ({"env": {"A": "b"}}, {}, "containers.0.env"),
        ({"env": [{"name": "HAREBELL_PORT", "value": 9091}]}, {}, "containers.0.env.0.value"),
        ({"env": [{"name": ["A"]}]}, {}, "containers.0.env.0.name"),
        ({"securityContext": "x"}, {}, "containers.0.securityContext"),
        ({"volumeMounts": ["/tmp"]}, {}, "containers.0.volumeMounts.0"),  # noqa: S108
        ({"ports": [9091]}, {}, "containers.0.ports.0"),
        ({}, {"securityContext": "x"}, "securityContext"),
        ({}, {"volumes": 1}, "volumes"),
        ({}, {"initContainers": ["x"]}, "initContainers.0"),
    ],
)
def test_what_is_no_template_of_a_pod_is_told_by_its_place(
    agent: dict[str, Any], spec: dict[str, Any], place: str
) -> None:
    with pytest.raises(TemplateError, match=rf"^spec\.template\.spec\.{re.escape(place)}: \w"):
        made(template(agent, **spec), Credentials("secret"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, json_values), st.dictionaries(NAMES, json_values))
def test_of_any_template_a_pod_is_made_or_it_is_said_why_not(
    agent: dict[str, Any], spec: dict[str, Any]
) -> None:
    spec.pop("containers", None)
    with suppress(TemplateError):
        made(template({**agent, **AGENT}, **spec), Credentials("secret"))


def test_a_pod_is_made_without_changing_its_template() -> None:
    one = template({"env": [{"name": "A", "value": "1"}]})
    before = one.to_wire()
    assert made(one) == made(one)
    assert one.to_wire() == before


def test_the_hash_tells_templates_apart_and_nothing_else() -> None:
    assert template_hash(template()) == template_hash(template())
    assert template_hash(template()) != template_hash(template({"image": "harebell/agent:2"}))
    assert template_hash(template()) != template_hash(template(nodeSelector={"gpu": "yes"}))


# ---- read ------------------------------------------------------------------------------------------------


def shown(status: dict[str, Any] | None = None, kind: str = "AgentPool", **meta: Any) -> dict[str, Any]:
    owner = {"apiVersion": "harebell.dev/v1alpha1", "kind": kind, "name": "crew", "uid": "pool-1"}
    return {
        "metadata": {
            "name": "crew-x",
            "uid": "u",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"harebell.dev/template-hash": "h"},
            "ownerReferences": [{**owner, "controller": True}],
            **meta,
        },
        "status": status or {},
    }


def container(name: str = "agent", **state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": name, "state": state}]}


def facts(body: dict[str, Any]) -> PodFacts:
    found = read_pod(body)
    assert found is not None
    return found


def test_a_pod_of_no_pool_is_none() -> None:
    assert read_pod(shown(kind="ReplicaSet")) is None
    assert read_pod(shown(ownerReferences=[])) is None


def test_what_a_pod_says() -> None:
    fresh = facts(shown())
    assert (fresh.name, fresh.uid, fresh.pool_uid, fresh.template_hash) == ("crew-x", "u", "pool-1", "h")
    assert (fresh.running_since, fresh.ended, fresh.terminating, fresh.trouble) == (None, False, False, None)
    running = container(running={"startedAt": "2026-01-01T00:00:05Z"})
    assert facts(shown(running)).running_since == datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert (
        facts(shown(container("other", running={"startedAt": "2026-01-01T00:00:05Z"}))).running_since is None
    )
    assert facts(shown(deletionTimestamp="2026-01-01T00:01:00Z")).terminating


@pytest.mark.parametrize(
    ("agent", "restarted"),
    [
        ({"state": {"waiting": {"reason": "ContainerCreating"}}, "restartCount": 0}, False),
        ({"state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}}, "restartCount": 0}, False),
        ({"state": {"terminated": {"exitCode": 139}}, "restartCount": 0}, True),
        ({"state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 139}}}, True),
        ({"state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}}, "restartCount": 1}, True),
    ],
)
def test_whether_its_agent_ended_before(agent: dict[str, Any], restarted: bool) -> None:
    sidecar = {"name": "other", "state": {"terminated": {}}, "restartCount": 7}
    assert facts(shown({"containerStatuses": [sidecar, {"name": "agent", **agent}]})).restarted is restarted


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (container(waiting={"reason": "ContainerCreating"}), None),
        (
            container(waiting={"reason": "ImagePullBackOff", "message": "no such image"}),
            Trouble("ImagePullBackOff", "container agent: no such image"),
        ),
        (
            {
                "containerStatuses": [
                    {
                        "name": "agent",
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 2}},
                    }
                ]
            },
            Trouble("CrashLoopBackOff", "container agent: CrashLoopBackOff, last exit code 2"),
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no node"}]},
            Trouble("Unschedulable", "no node"),
        ),
        ({"phase": "Failed", "reason": "Evicted", "message": "disk"}, Trouble("Evicted", "disk")),
        ({"phase": "Succeeded"}, Trouble("PodEnded", "its Pod succeeded")),
    ],
)  # fmt: skip
def test_why_it_does_not_come_up(status: dict[str, Any], trouble: Trouble | None) -> None:
    found = facts(shown(status))
    assert found.trouble == trouble
    assert found.ended == (status.get("phase") in ("Failed", "Succeeded"))
