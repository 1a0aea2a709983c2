"""Writes the AsyncAPI document: ``python -m harebell_bus.asyncapi DIRECTORY...``.

AsyncAPI 3.0.0 with the AMQP 0-9-1 bindings 0.3.0. What :mod:`.inventory` finds is in it, or the document is
not written: an exchange, queue, header or message that nobody described is an error.
"""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from .codec import CONTENT_TYPE
from .envelopes import VERSION, Envelope
from .examples import EXAMPLES
from .flows import HEADERS, PLACEHOLDERS, RECEIVING, SENDING, Party, Receiving
from .inventory import IncompleteError, carried, members, messages, sources, topology
from .policies import policy_of
from .topology import MINIMUM_VERSION, Exchange, Queue, Topology

FILE = "asyncapi.yaml"
_HEADER = "# Generated from the models and the topology in bus/src by `make generate`. Do not edit.\n"
_BINDINGS = "0.3.0"
_SCHEMAS = "#/components/schemas/"

Json = dict[str, Any]


def build() -> Json:
    """Return the document. :raises IncompleteError: something is not described; the text says what."""
    declared, models = topology(), messages()
    kinds = carried(declared, models)
    channels: Json = {}
    operations: Json = {}
    for exchange in declared.exchanges:
        sent = [m.__name__ for m in members(SENDING[exchange.name].messages)]
        for key in _keys(exchange, declared):
            name = f"{exchange.name}.{_plain(key)}" if key else exchange.name
            channels[f"exchange.{name}"] = _exchange(exchange, key, declared, kinds[exchange.name])
            for party in SENDING[exchange.name].senders:
                operations[f"{party}.send.{name}"] = _operation("send", party, f"exchange.{name}", sent)
    for queue in declared.queues:
        name, how = f"queue.{_plain(queue.name)}", receiving(queue)
        found = {kind for source in sources(declared, queue.name) for kind in kinds[source]}
        taken = [kind for kind in models if kind in found]
        channels[name] = _queue(queue, how, declared, taken)
        if how.receiver is not None:
            operation = _operation("receive", how.receiver, name, taken)
            operation["bindings"] = {"amqp": {"ack": how.acknowledged, "bindingVersion": _BINDINGS}}
            operations[f"{how.receiver}.receive.{_plain(queue.name)}"] = operation
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "harebell's bus",
            "version": str(VERSION),
            "description": "What operator and agents say to each other over RabbitMQ. A message is a JSON "
            "object with its version and kind; readers ignore fields they do not know.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"rabbitmq": _server()},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {name: _message(model) for name, model in models.items()},
            "schemas": _schemas(models.values()),
        },
    }


def _server() -> Json:
    version = ".".join(map(str, MINIMUM_VERSION))
    return {
        "host": "{host}:{port}",
        "pathname": "/{vhost}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "description": f"RabbitMQ {version} or later. With TLS the protocol is amqps.",
        "variables": {
            "host": {"description": "Name or address of the broker."},
            "port": {"default": "5672", "description": "5671 with TLS."},
            "vhost": {"description": "Virtual host."},
        },
        "security": [{"type": "userPassword"}],
    }


# ---- channels and operations ---------------------------------------------------------------------------


def _exchange(exchange: Exchange, key: str | None, declared: Topology, kinds: list[str]) -> Json:
    sending = SENDING[exchange.name]
    bindings = [b for b in declared.bindings if b.exchange == exchange.name]
    routed_by = {header for b in bindings for header in b.arguments if not header.startswith("x-")}
    if not routed_by <= set(sending.headers):
        names = ", ".join(sorted(routed_by - set(sending.headers)))
        raise IncompleteError(
            f"{names}: {exchange.name} routes by this header, flows.SENDING does not say so"
        )
    bound = {
        "is": "routingKey",
        "exchange": {
            "name": exchange.name,
            "type": exchange.type,
            "durable": True,
            "autoDelete": False,
        },
    }
    return _channel(f"Exchange {exchange.name}", sending.description, key, kinds, bound)


def _keys(exchange: Exchange, declared: Topology) -> list[str | None]:
    """Return the keys that are published with, as bindings tell; those with wildcards tell of none."""
    keys = dict.fromkeys(b.routing_key for b in declared.bindings if b.exchange == exchange.name)
    return [key for key in keys if key and not set(key) & set("*#")] or [None]


def _queue(queue: Queue, how: Receiving, declared: Topology, kinds: list[str]) -> Json:
    bound = {
        "is": "queue",
        "queue": {
            "name": queue.name,
            "durable": queue.durable,
            "exclusive": queue.exclusive,
            "autoDelete": False,
        },
    }
    channel = _channel(f"Queue {queue.name}", how.description, queue.name, kinds, bound)
    channel["x-arguments"] = dict(queue.arguments)
    policy = policy_of(queue)
    if policy is not None:
        channel["x-policy"] = {"name": policy.name, "definition": dict(policy.definition)}
    channel["x-bindings"] = [
        {"exchange": b.exchange, "routingKey": b.routing_key, "arguments": dict(b.arguments)}
        for b in declared.bindings
        if b.queue == queue.name
    ]
    return channel


def receiving(queue: Queue) -> Receiving:
    """Return how a queue is read. :raises IncompleteError: nothing says so."""
    for how in RECEIVING:
        if queue.name.startswith(how.prefix):
            return how
    raise IncompleteError(f"{queue.name}: a queue that flows.RECEIVING does not describe")


def _channel(title: str, description: str, address: str | None, kinds: list[str], bound: Json) -> Json:
    parameters = re.findall(r"{(\w+)}", address or "")
    unknown = [p for p in parameters if p not in PLACEHOLDERS]
    if unknown:
        raise IncompleteError(f"{', '.join(unknown)}: a part of {address} that flows.PLACEHOLDERS lacks")
    return {
        "address": address,
        "title": title,
        "description": description,
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds},
        **({"parameters": {p: {"description": PLACEHOLDERS[p]} for p in parameters}} if parameters else {}),
        "bindings": {"amqp": {**bound, "bindingVersion": _BINDINGS}},
    }


def _operation(action: str, party: Party, channel: str, kinds: list[str]) -> Json:
    reference = f"#/channels/{channel}"
    return {
        "action": action,
        "title": f"{party.value}: {action}",
        "channel": {"$ref": reference},
        "messages": [{"$ref": f"{reference}/messages/{kind}"} for kind in kinds],
    }


def _plain(name: str) -> str:
    """Return a name without what may not stand in a reference."""
    return re.sub(r"[{}]", "", name)


# ---- messages ------------------------------------------------------------------------------------------


def _message(model: type[Envelope]) -> Json:
    name = model.__name__
    about = {}
    if "task" in model.model_fields:
        about["correlationId"] = {
            "description": "The Task's UID; of work and replies also the AMQP correlation-id.",
            "location": "$message.payload#/task/uid",
        }
    return {
        "name": name,
        "title": name,
        "summary": _summary(model),
        "contentType": CONTENT_TYPE,
        **_headers(name),
        **about,
        "payload": {"$ref": f"{_SCHEMAS}{name}"},
        "bindings": {"amqp": {"contentEncoding": "utf-8", "messageType": name, "bindingVersion": _BINDINGS}},
        "examples": [{"name": f"{name}Example", "payload": _example(name)}],
    }


def _summary(model: type[Envelope]) -> str:
    return " ".join((model.__doc__ or "").split())


def _headers(kind: str) -> Json:
    """Return the headers of a message; required is what it has on every exchange it is sent to."""
    carriers = [s.headers for s in SENDING.values() if kind in {m.__name__ for m in members(s.messages)}]
    names = list(dict.fromkeys(header for headers in carriers for header in headers))
    if not names:
        return {}
    unknown = [n for n in names if n not in HEADERS]
    if unknown:
        raise IncompleteError(f"{', '.join(unknown)}: a header that flows.HEADERS does not describe")
    return {
        "headers": {
            "type": "object",
            "properties": {n: {"type": HEADERS[n][0], "description": HEADERS[n][1]} for n in names},
            "required": [n for n in names if all(n in headers for headers in carriers)],
        }
    }


def _example(kind: str) -> Any:
    for example in EXAMPLES:
        if example.kind == kind:
            return example.model_dump(mode="json", by_alias=True)
    raise IncompleteError(f"{kind}: without an example in examples.EXAMPLES")


def _schemas(models: Iterable[type[Envelope]]) -> Json:
    """Return the schemas of all messages and their parts, as a reader validates them.

    The version and the kind, which the models know by themselves, are required of whoever writes one.
    """
    names, schema = models_json_schema(
        [(model, "validation") for model in models], ref_template=f"{_SCHEMAS}{{model}}"
    )
    found: Json = schema["$defs"]
    for reference in names.values():
        message = found[reference["$ref"].removeprefix(_SCHEMAS)]
        message["required"] = ["version", "kind", *message.get("required", ())]
    return found


def render() -> str:
    """Return the document as YAML text. :raises IncompleteError: see :func:`build`."""
    return _HEADER + yaml.safe_dump(build(), sort_keys=False, width=110, allow_unicode=True)


def main() -> None:
    """Write the document into each directory given."""
    parser = argparse.ArgumentParser(description="Write the AsyncAPI document of harebell's bus.")
    parser.add_argument("directory", nargs="+", type=Path, help=f"where to write {FILE}")
    for directory in parser.parse_args().directory:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / FILE).write_text(render())


if __name__ == "__main__":
    main()
