"""The Pods of an AgentPool: how one is made from the template, and what one says of itself."""

import hashlib
import json
import math
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harebell_crds import API_VERSION, GROUP
from harebell_crds.pool import AGENT_CONTAINER, PodTemplate

from .template import check_shape

TYPE_LABEL = "harebell.dev/agent-type"
POOL_LABEL = "harebell.dev/agent-pool"
HASH_LABEL = "harebell.dev/template-hash"

_USER = 65532
"""As in the image."""
_PORT = 9091
_PORT_DIGITS = 5
_AMQP = "/etc/harebell/amqp"
_DRAIN_VARIABLE = "HAREBELL_DRAIN_SECONDS"
_DRAIN_SECONDS = 20
"""What an agent takes for that variable by itself."""
_HAND_BACK_SECONDS = 25
"""What an agent may take after its drain, where the broker is slow to confirm."""
_BUSY_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
_FIELDS = {
    "POD_NAME": "metadata.name",
    "POD_NAMESPACE": "metadata.namespace",
    "POD_UID": "metadata.uid",
    "NODE_NAME": "spec.nodeName",
}


@dataclass(frozen=True)
class Credentials:
    """Where Pods get the broker's URL from, unless their template says so itself.

    ``{type}`` in the name of a Secret stands for the agent type.
    """

    secret: str
    """Secret with the key ``url``."""
    ca_key: str | None = None
    """Key of the certificates to verify the broker with; None: the system's."""
    ca_secret: str | None = None
    """Secret that has them; None: the one with the URL."""
    certificate_secret: str | None = None
    """Secret of type kubernetes.io/tls with the certificate to show to the broker, if any."""


@dataclass(frozen=True)
class Trouble:
    """Why something does not come up: a CamelCase reason, and words for people."""

    reason: str
    message: str


@dataclass(frozen=True)
class PodFacts:
    """What a Pod of a pool says of itself."""

    name: str
    uid: str
    pool_uid: str
    created_at: datetime
    template_hash: str
    running_since: datetime | None
    """Since when the agent's container runs; None while it does not."""
    restarted: bool = False
    """Whether the agent's container has ended before, started again or not."""
    ended: bool = False
    """Whether it has ended for good, as by an eviction."""
    terminating: bool = False
    """Whether it has been deleted and may still be ending."""
    trouble: Trouble | None = None

    @property
    def down(self) -> bool:
        """Whether the agent's container has ended and has not been started again."""
        return self.restarted and self.running_since is None


def template_hash(template: PodTemplate) -> str:
    """Return what tells Pods of one template from those of another."""
    text = json.dumps(template.to_wire(), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def selector(pool: str) -> str:
    """Return the label selector of a pool's Pods."""
    return f"{POOL_LABEL}={pool}"


# ---- made from the template ------------------------------------------------------------------------------


def pod_for(
    pool: str, pool_uid: str, agent_type: str, template: PodTemplate, credentials: Credentials | None
) -> dict[str, Any]:
    """Return a Pod to create.

    What ties it to its pool and to its agent is set; what an agent needs otherwise, and what the Pod
    Security level "restricted" asks for, is filled in where the template does not say it.

    :raises TemplateError: the template is not that of a Pod.
    """
    meta = template.metadata.to_wire() if template.metadata else {}
    spec = deepcopy(template.spec.to_wire())
    check_shape(spec)
    agent = next(c for c in spec["containers"] if c["name"] == AGENT_CONTAINER)
    _environment(agent, agent_type)
    _volumes(spec, agent, agent_type, credentials)
    _probes(agent)
    _security(spec, agent)
    spec.setdefault("terminationGracePeriodSeconds", _drain_seconds(agent) + _HAND_BACK_SECONDS)
    if not spec.get("affinity"):
        # The scheduler spreads by itself only what a controller of its own list owns.
        spec.setdefault("topologySpreadConstraints", [_spread(pool)])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{pool}-",
            "labels": {
                **(meta.get("labels") or {}),
                TYPE_LABEL: agent_type,
                POOL_LABEL: pool,
                HASH_LABEL: template_hash(template),
            },
            "annotations": meta.get("annotations") or {},
            # Its deletion is not held up: the operator would need the right to change pools for that.
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "AgentPool",
                    "name": pool,
                    "uid": pool_uid,
                    "controller": True,
                }
            ],
        },
        "spec": spec,
    }


def _environment(agent: dict[str, Any], agent_type: str) -> None:
    """The operator must know which agent is in which Pod, so the template has no say in these."""
    fixed: dict[str, dict[str, Any]] = {
        name: {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in _FIELDS.items()
    }
    fixed["HAREBELL_AGENT_TYPE"] = {"name": "HAREBELL_AGENT_TYPE", "value": agent_type}
    fixed["HAREBELL_AGENT_ID"] = {**fixed["POD_NAME"], "name": "HAREBELL_AGENT_ID"}
    own = [e for e in agent.get("env") or [] if e.get("name") not in fixed]
    agent["env"] = [*fixed.values(), *own]


def _drain_seconds(agent: dict[str, Any]) -> int:
    given = next((e.get("value") for e in agent["env"] if e.get("name") == _DRAIN_VARIABLE), None)
    try:
        return math.ceil(float(given or _DRAIN_SECONDS))
    except (ValueError, OverflowError):  # the agent says what is wrong with it
        return _DRAIN_SECONDS


def _volumes(
    spec: dict[str, Any], agent: dict[str, Any], agent_type: str, credentials: Credentials | None
) -> None:
    volumes = spec["volumes"] = list(spec.get("volumes") or [])
    mounts = agent["volumeMounts"] = list(agent.get("volumeMounts") or [])
    named = {e.get("name") for e in agent["env"]}
    if credentials is not None and not named & {"HAREBELL_AMQP_URL", "HAREBELL_AMQP_URL_FILE"}:
        files = {"HAREBELL_AMQP_URL_FILE": (credentials.secret, "url", "url")}
        if credentials.ca_key is not None:
            ca_secret = credentials.ca_secret or credentials.secret
            files["HAREBELL_AMQP_CA_FILE"] = (ca_secret, credentials.ca_key, "ca.crt")
        if credentials.certificate_secret is not None:
            files["HAREBELL_AMQP_CERT_FILE"] = (credentials.certificate_secret, "tls.crt", "tls.crt")
            files["HAREBELL_AMQP_KEY_FILE"] = (credentials.certificate_secret, "tls.key", "tls.key")
        agent["env"] += [{"name": n, "value": f"{_AMQP}/{file}"} for n, (_, _, file) in files.items()]
        sources = [
            {"secret": {"name": secret.replace("{type}", agent_type), "items": [{"key": key, "path": file}]}}
            for secret, key, file in files.values()
        ]
        volumes.append({"name": "harebell-amqp", "projected": {"defaultMode": 0o440, "sources": sources}})
        mounts.append({"name": "harebell-amqp", "mountPath": _AMQP, "readOnly": True})
    if not any(str(m.get("mountPath", "")).rstrip("/") == "/tmp" for m in mounts):  # noqa: S108
        volumes.append({"name": "harebell-tmp", "emptyDir": {"sizeLimit": "256Mi"}})
        mounts.append({"name": "harebell-tmp", "mountPath": "/tmp"})  # noqa: S108


def _probes(agent: dict[str, Any]) -> None:
    given = next((e.get("value") for e in agent["env"] if e.get("name") == "HAREBELL_PORT"), str(_PORT))
    if not (given and len(given) <= _PORT_DIGITS and given.isdecimal() and int(given)):
        return  # Not served, or not to be known here.

    def ask(path: str, **more: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": int(given)}, **more}

    ports = agent.get("ports") or []
    if not any(p.get("name") == "metrics" or p.get("containerPort") == int(given) for p in ports):
        # By this name a PodMonitor finds it.
        agent["ports"] = [*ports, {"name": "metrics", "containerPort": int(given)}]
    agent.setdefault("startupProbe", ask("/healthz", periodSeconds=2, failureThreshold=60))
    agent.setdefault("readinessProbe", ask("/readyz", periodSeconds=5, timeoutSeconds=3))
    agent.setdefault("livenessProbe", ask("/healthz", periodSeconds=10, timeoutSeconds=5, failureThreshold=6))


def _security(spec: dict[str, Any], agent: dict[str, Any]) -> None:
    spec.setdefault("automountServiceAccountToken", False)
    spec.setdefault("enableServiceLinks", False)
    spec["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "fsGroup": _USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
        **(spec.get("securityContext") or {}),
    }
    for container in (*(spec.get("initContainers") or []), *spec["containers"]):
        container["securityContext"] = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            **({"readOnlyRootFilesystem": True} if container is agent else {}),
            **(container.get("securityContext") or {}),
        }


def _spread(pool: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {POOL_LABEL: pool}},
    }


# ---- what it says of itself ------------------------------------------------------------------------------


def read_pod(body: dict[str, Any]) -> PodFacts | None:
    """Return what a Pod says, or None if it is of no pool."""
    meta, status = body["metadata"], body.get("status") or {}
    owner: dict[str, Any] = next((o for o in meta.get("ownerReferences") or [] if o.get("controller")), {})
    if owner.get("kind") != "AgentPool" or str(owner.get("apiVersion")).split("/")[0] != GROUP:
        return None
    containers: list[dict[str, Any]] = status.get("containerStatuses") or []
    statuses = [*(status.get("initContainerStatuses") or []), *containers]
    agent: dict[str, Any] = next((c for c in containers if c["name"] == AGENT_CONTAINER), {})
    state, last = agent.get("state") or {}, agent.get("lastState") or {}
    running = state.get("running")
    created = datetime.fromisoformat(meta["creationTimestamp"])
    ended = status.get("phase") in ("Succeeded", "Failed")
    return PodFacts(
        name=meta["name"],
        uid=meta["uid"],
        pool_uid=owner["uid"],
        created_at=created,
        template_hash=(meta.get("labels") or {}).get(HASH_LABEL, ""),
        running_since=datetime.fromisoformat(running["startedAt"]) if running else None,
        restarted=bool(agent.get("restartCount")) or "terminated" in {**last, **state},
        ended=ended,
        terminating=bool(meta.get("deletionTimestamp")),
        trouble=_why_ended(status) if ended else _unscheduled(status) or _waiting(statuses),
    )


def _why_ended(status: dict[str, Any]) -> Trouble:
    reason = status.get("reason") or "PodEnded"
    return Trouble(reason, status.get("message") or f"its Pod {status.get('phase', 'ended').lower()}")


def _unscheduled(status: dict[str, Any]) -> Trouble | None:
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Trouble(condition.get("reason") or "Unschedulable", condition.get("message") or "")
    return None


def _waiting(statuses: list[dict[str, Any]]) -> Trouble | None:
    for container in statuses:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason")
        if reason and reason not in _BUSY_STARTING:
            last = (container.get("lastState") or {}).get("terminated") or {}
            code = f", last exit code {last['exitCode']}" if "exitCode" in last else ""
            return Trouble(reason, f"container {container['name']}: {waiting.get('message', reason)}{code}")
    return None
