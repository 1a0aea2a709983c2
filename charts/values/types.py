"""Types that many values share. Patterns of names are those of Kubernetes ("Object Names and IDs")."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SUBDOMAIN = r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?"
_QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"


def _nothing_required(schema: dict[str, Any]) -> None:
    schema.pop("required", None)


class Item(BaseModel):
    """An object of a list or map that people write whole: a field without a default is required."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Section(BaseModel):
    """An object of values.yaml: Helm fills in from there what is not given, so nothing is required."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, json_schema_extra=_nothing_required)


LabelOrEmpty = Annotated[str, Field(pattern=rf"^$|{_LABEL}", max_length=63)]
AgentType = Annotated[str, Field(pattern=_LABEL, max_length=63)]
PoolName = Annotated[str, StringConstraints(pattern=_LABEL, max_length=16)]
Name = Annotated[str, Field(pattern=rf"^{_SUBDOMAIN}$", max_length=253)]
NameOrEmpty = Annotated[str, Field(pattern=rf"^$|^{_SUBDOMAIN}$", max_length=253)]
HostPattern = Annotated[str, Field(pattern=rf"^(\*\.)?{_SUBDOMAIN}$", max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Quantity = Annotated[str, Field(pattern=rf"^{_QUANTITY}$")] | float
QuantityOrEmpty = Annotated[str, Field(pattern=r"^$|^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$")] | float
Duration = Annotated[str, Field(pattern=r"^([1-9][0-9]*(ms|s|m|h))+$")]
Strings = dict[str, str]
KubernetesObject = dict[str, Any]
"""The API server checks it: it knows the fields of its version."""

Argv = Annotated[
    list[str],
    Field(min_length=1, json_schema_extra={"prefixItems": [{"type": "string", "minLength": 1}]}),
]


class Command(Item):
    """A command, and whether it may be run again when the agent that ran it was lost."""

    argv: Annotated[Argv, Field(description="How the command begins, or all of it.")]
    idempotent: Annotated[bool, Field(description="Whether it may be run again.")] = False


Commands = list[Argv | Command] | dict[str, Argv | Command]


class EnvironmentVariable(Item):
    """As in a container's ``env``."""

    name: Annotated[Text, Field(description="Name of the variable.")]
    value: Annotated[str, Field(description="Its value.")] = ""
    value_from: Annotated[
        KubernetesObject, Field(description="Where its value comes from, e.g. a key of a Secret.")
    ] = {}


class SecretName(Item):
    """A Secret of the namespace."""

    name: Annotated[Name, Field(description="Name of the Secret.")]


class IngressTls(Item):
    """As in an Ingress."""

    hosts: Annotated[list[HostPattern], Field(description="Names that the certificate is for.")] = []
    secret_name: Annotated[
        NameOrEmpty, Field(description="Secret with the certificate; cert-manager writes it.")
    ] = ""


class Peer(Item):
    """As in the ``from`` and ``to`` of a NetworkPolicy."""

    namespace_selector: Annotated[KubernetesObject, Field(description="Namespaces, by their labels.")] = {}
    pod_selector: Annotated[KubernetesObject, Field(description="Pods, by their labels.")] = {}
    ip_block: Annotated[KubernetesObject, Field(description="Addresses: cidr, and except.")] = {}


class Resources(Section):
    """Compute resources of a container."""

    requests: Annotated[dict[str, Quantity], Field(description="What is kept free for it.")]
    limits: Annotated[dict[str, Quantity], Field(description="What it may use at most.")]
    claims: Annotated[list[KubernetesObject], Field(description="Devices, by claims of the Pod.")]


class ServerImage(Section):
    """An image that is not ours: the chart's appVersion is no tag of it."""

    registry: Annotated[
        str, Field(description="Registry, e.g. registry.example.org:5000. Empty: the nodes' default.")
    ]
    repository: Annotated[Text, Field(description="Name of the image.")]
    tag: Annotated[Text, Field(description="Tag.")]
    digest: Annotated[
        str,
        Field(
            pattern=r"^$|^sha256:[0-9a-f]{64}$", description="Digest, sha256:..., used instead of the tag."
        ),
    ]


class Image(ServerImage):
    """An image of ours."""

    tag: Annotated[str, Field(description="Tag. Empty: the chart's appVersion.")]


class Placement(Section):
    """Where Pods run, and which of them make room for which."""

    node_selector: Annotated[Strings, Field(description="Labels of the nodes they may run on.")]
    tolerations: Annotated[list[KubernetesObject], Field(description="Taints of nodes they tolerate.")]
    affinity: Annotated[
        KubernetesObject,
        Field(description="Node and Pod affinity. Without it they are spread over nodes where possible."),
    ]
    topology_spread_constraints: Annotated[
        list[KubernetesObject],
        Field(
            description="How they are spread, instead of over nodes where possible. A constraint without a"
            " labelSelector counts the Pods of its own workload."
        ),
    ]
    priority_class_name: Annotated[
        NameOrEmpty, Field(description="PriorityClass. Empty: the cluster's default.")
    ]
    pod_annotations: Annotated[Strings, Field(description="More annotations of the Pods.")]


class Persistence(Section):
    """The volume of a server."""

    size: Annotated[Quantity, Field(description="Size of the volume.")]
    storage_class_name: Annotated[
        NameOrEmpty, Field(description="Storage class. Empty: the cluster's default.")
    ]
    when_deleted: Annotated[
        Literal["Retain", "Delete"],
        Field(description="What `helm uninstall` does with the volume's claim: Retain or Delete."),
    ]
