"""Writes the CustomResourceDefinitions: ``python -m harebell_crds.generate DIRECTORY...``."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from . import CATEGORY, GROUP, VERSION
from .agent import AgentSpec, AgentStatus
from .announcement import AnnouncementSpec, AnnouncementStatus
from .bus import BusSpec, BusStatus
from .pool import MAX_NAME_LENGTH, AgentPoolSpec, AgentPoolStatus
from .schema import structural_schema
from .task import TaskSpec, TaskStatus

_HEADER = "# Generated from the models in crds/src by `make generate`. Do not edit.\n"


@dataclass(frozen=True)
class Column:
    """One ``additionalPrinterColumns`` entry; priority 1 shows only with ``-o wide``."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0

    def to_wire(self) -> dict[str, Any]:
        """Return the entry as the CRD spells it."""
        wide = {"priority": self.priority} if self.priority else {}
        return {"name": self.name, "type": self.type, "jsonPath": self.path, **wide}


@dataclass(frozen=True)
class Resource:
    """One custom resource: its names, models and columns."""

    kind: str
    description: str
    plural: str
    short_names: tuple[str, ...]
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    rules: tuple[tuple[str, str], ...] = ()
    """CEL over the whole object, and the message of its refusal: what depends on spec and status at once."""
    scalable: bool = False
    """Whether it has a scale subresource, for ``kubectl scale`` and autoscalers."""


_AGE = Column("Age", ".metadata.creationTimestamp", "date")

RESOURCES = (
    Resource(
        kind="Task",
        description="One piece of work for an agent of some type, and what became of it.",
        plural="tasks",
        short_names=("hbt",),
        spec=TaskSpec,
        status=TaskStatus,
        rules=(
            (
                "self.spec.priority == oldSelf.spec.priority || !has(self.status) || !has(self.status.phase)"
                " || self.status.phase in ['Pending', 'Queued']",
                "spec.priority is immutable once the Task runs",
            ),
        ),
        columns=(
            Column("Type", ".spec.agentType"),
            Column("Priority", ".spec.priority"),
            Column("Phase", ".status.phase"),
            Column("Agent", ".status.agentName"),
            Column("Attempt", ".status.attempt", "integer", priority=1),
            Column("Reason", ".status.reason", priority=1),
            _AGE,
        ),
    ),
    Resource(
        kind="Agent",
        description="One running agent, as it described itself.",
        plural="agents",
        short_names=("hba",),
        spec=AgentSpec,
        status=AgentStatus,
        columns=(
            Column("Type", ".spec.type"),
            Column("Status", ".status.phase"),
            Column("Task", ".status.summary.task"),
            Column("CPU", ".status.summary.cpu"),
            Column("GPU-Mem", ".status.summary.gpuMemory"),
            Column("Last-Heartbeat", ".status.lastHeartbeatTime", "date"),
            Column("Consuming", ".status.conditions[?(@.type=='Consuming')].status", priority=1),
            Column("Node", ".status.nodeName", priority=1),
            Column("Version", ".status.version", priority=1),
            _AGE,
        ),
    ),
    Resource(
        kind="Announcement",
        description="Something all agents, or some of them, are to know or to keep to, and who knows.",
        plural="announcements",
        short_names=("hbn",),
        spec=AnnouncementSpec,
        status=AnnouncementStatus,
        columns=(
            Column("Kind", ".spec.kind"),
            Column("Targeted", ".status.targeted", "integer"),
            Column("Acknowledged", ".status.acknowledged", "integer"),
            Column("Phase", ".status.phase"),
            Column("Expires", ".spec.expiresAt", "string"),
            _AGE,
            Column("Message", ".spec.message", priority=1),
        ),
    ),
    Resource(
        kind="AgentPool",
        description="A number of like agents, each in a Pod; none is removed while it works.",
        plural="agentpools",
        short_names=("hbp",),
        spec=AgentPoolSpec,
        status=AgentPoolStatus,
        rules=(
            (
                f"size(self.metadata.name) <= {MAX_NAME_LENGTH}",
                f"metadata.name may have {MAX_NAME_LENGTH} characters at most",
            ),
            ("!self.metadata.name.contains('.')", "metadata.name may not have dots"),
        ),
        scalable=True,
        columns=(
            Column("Type", ".spec.type"),
            Column("Desired", ".spec.replicas", "integer"),
            Column("Ready", ".status.readyReplicas", "integer"),
            Column("Busy", ".status.busyReplicas", "integer"),
            Column("Draining", ".status.drainingReplicas", "integer"),
            Column("Updated", ".status.updatedReplicas", "integer", priority=1),
            _AGE,
        ),
    ),
    Resource(
        kind="Bus",
        description="How the parts do that carry and keep messages. The operator makes the only one.",
        plural="buses",
        short_names=("hbb",),
        spec=BusSpec,
        status=BusStatus,
        columns=(
            Column("Broker", ".status.conditions[?(@.type=='BrokerReachable')].reason"),
            Column("Archive", ".status.conditions[?(@.type=='ArchiveCurrent')].reason"),
            Column("Lag", ".status.archive.lagMessages", "integer"),
            Column("Archived", ".status.archive.archivedMessages", "integer"),
            Column("Missing", ".status.archive.gapMessages", "integer"),
            Column("Last-Archived", ".status.archive.lastArchivedTime", "date"),
            Column("Version", ".status.broker.version", priority=1),
            _AGE,
        ),
    ),
)

_SCALE = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}


def crd(resource: Resource) -> dict[str, Any]:
    """Return the CustomResourceDefinition of ``resource``."""
    spec, status = structural_schema(resource.spec), structural_schema(resource.status, defaults=False)
    subresources: dict[str, Any] = {"status": {}}
    if resource.scalable:
        subresources["scale"] = _SCALE
    schema: dict[str, Any] = {
        "type": "object",
        "description": resource.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    if resource.rules:
        schema["x-kubernetes-validations"] = [{"rule": r, "message": m} for r, m in resource.rules]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/part-of": "harebell"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": list(resource.short_names),
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "additionalPrinterColumns": [c.to_wire() for c in resource.columns],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def render(resource: Resource) -> str:
    """Return the manifest as YAML text."""
    return _HEADER + yaml.safe_dump(crd(resource), sort_keys=False, width=110)


def main() -> None:
    """Write every manifest into each directory given."""
    parser = argparse.ArgumentParser(description="Write harebell's CustomResourceDefinitions.")
    parser.add_argument("directory", nargs="+", type=Path, help="where to write PLURAL.yaml files")
    for directory in parser.parse_args().directory:
        directory.mkdir(parents=True, exist_ok=True)
        for resource in RESOURCES:
            (directory / f"{resource.plural}.yaml").write_text(render(resource))


if __name__ == "__main__":
    main()
