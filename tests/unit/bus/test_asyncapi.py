"""The AsyncAPI document: whole, consistent in itself, true to the models, and never silently incomplete."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from harebell_bus import asyncapi, flows, inventory, topology
from harebell_bus.asyncapi import build, render
from harebell_bus.codec import (
    decode_archive_report,
    decode_command,
    decode_heartbeat,
    decode_reply,
    decode_work,
)
from harebell_bus.envelopes import ArchiveReport, Command, Envelope, Heartbeat, Removed, Reply, Work
from harebell_bus.examples import EXAMPLES
from harebell_bus.flows import Party
from harebell_bus.inventory import IncompleteError, members
from harebell_bus.permissions import agent_permissions, archiver_permissions, operator_permissions
from harebell_bus.policies import POLICIES
from harebell_bus.topology import Exchange, Queue, Topology

DOCUMENT = build()
BASE = "urn:asyncapi"
REQUIRED = {
    "channel": {"address", "description", "messages", "bindings"},
    "operation": {"action", "channel", "messages"},
    "message": {"name", "summary", "contentType", "payload", "bindings", "examples"},
}


def resolved(pointer: str) -> Any:
    """Return what a reference within the document means. :raises KeyError: there is no such thing."""
    assert pointer.startswith("#/")
    node: Any = DOCUMENT
    for step in pointer[2:].split("/"):
        node = node[step]
    return node


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def validator(reference: str) -> Draft202012Validator:
    registry: Registry[Any] = Registry().with_resource(BASE, DRAFT202012.create_resource(DOCUMENT))
    return Draft202012Validator(
        {"$ref": BASE + reference}, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


class TestDocument:
    def test_every_reference_leads_somewhere(self) -> None:
        found = set(references(DOCUMENT))
        assert len(found) > 50
        for reference in found:
            assert resolved(reference)

    @pytest.mark.parametrize(
        ("kind", "parts"),
        [
            ("channel", DOCUMENT["channels"]),
            ("operation", DOCUMENT["operations"]),
            ("message", DOCUMENT["components"]["messages"]),
        ],
    )
    def test_every_part_says_what_it_must(self, kind: str, parts: dict[str, Any]) -> None:
        for name, part in parts.items():
            assert REQUIRED[kind] <= part.keys(), name
            assert all(value for key, value in part.items() if key in {"description", "summary"}), name

    def test_every_schema_is_one(self) -> None:
        for schema in DOCUMENT["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)

    def test_every_parameter_of_an_address_is_described(self) -> None:
        for name, channel in DOCUMENT["channels"].items():
            placeholders = re.findall(r"{(\w+)}", channel["address"] or "")
            assert list(channel.get("parameters", {})) == placeholders, name

    def test_operations_speak_of_messages_of_their_channel(self) -> None:
        for operation in DOCUMENT["operations"].values():
            channel = operation["channel"]["$ref"]
            for message in operation["messages"]:
                assert message["$ref"].startswith(f"{channel}/messages/")

    def test_it_needs_no_anchors(self) -> None:
        assert not re.search(r"[&*]id\d", render())

    def test_queues_carry_the_arguments_they_are_declared_with(self) -> None:
        channel = DOCUMENT["channels"]["queue.harebell.heartbeats"]
        (declared,) = (q for q in topology.base_topology().queues if q.name == topology.HEARTBEATS_QUEUE)
        assert channel["x-arguments"] == declared.arguments
        assert channel["x-policy"] == {"name": "harebell-heartbeats", "definition": POLICIES[0].definition}
        assert "x-policy" not in DOCUMENT["channels"]["queue.harebell.replies"]
        (own,) = (c for c in DOCUMENT["channels"].values() if c["title"].startswith("Queue harebell.agent."))
        assert own["bindings"]["amqp"]["queue"]["exclusive"]

    def test_what_a_queue_dead_letters_is_carried_on(self) -> None:
        declared = Topology(
            (Exchange("in", "fanout"), Exchange("out", "fanout")),
            (Queue("middle", arguments={inventory.DEAD_LETTER_EXCHANGE: "out"}),),
            (topology.Binding("in", "middle"),),
        )
        sending = {
            "in": flows.Sending("in", (), Reply | Command | Work | Heartbeat | ArchiveReport | Removed),
            "out": flows.Sending("out", (), None),
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inventory, "SENDING", sending)
            carried = inventory.carried(declared, inventory.messages())
        assert carried["out"] == carried["in"] == list(inventory.messages())


class TestMessages:
    @pytest.mark.parametrize("kind", DOCUMENT["components"]["messages"])
    def test_examples_fit_their_schema(self, kind: str) -> None:
        message = DOCUMENT["components"]["messages"][kind]
        check = validator(message["payload"]["$ref"])
        for example in message["examples"]:
            check.validate(example["payload"])
            assert example["payload"]["kind"] == kind
            assert not check.is_valid({**example["payload"], "version": 0})
            assert not check.is_valid({})

    def test_every_example_is_read_as_what_it_is(self) -> None:
        for example in EXAMPLES:
            body = example.model_dump_json(by_alias=True).encode()
            if isinstance(example, Work):
                assert decode_work(body) == example
            elif isinstance(example, Heartbeat):
                assert decode_heartbeat(body) == example
            elif isinstance(example, ArchiveReport):
                assert decode_archive_report(body) == example
            elif isinstance(example, members(Reply)):
                assert decode_reply(body) == example
            elif isinstance(example, members(Command)):
                assert decode_command(body) == example
            elif isinstance(example, Removed):  # read in PostgreSQL, as JSON
                assert Removed.model_validate_json(body) == example
            else:
                raise AssertionError(f"nobody reads {example.kind}")

    def test_the_correlation_is_where_the_document_says(self) -> None:
        for message in DOCUMENT["components"]["messages"].values():
            if "correlationId" in message:
                assert message["examples"][0]["payload"]["task"]["uid"]


class TestPermissions:
    """What the document says of a party is what the broker lets it do."""

    @pytest.mark.parametrize("party", [Party.OPERATOR, Party.AGENT, Party.ARCHIVER])
    def test_who_sends_may_write_and_who_receives_may_read(self, party: Party) -> None:
        kind = "text"
        granted = {
            Party.OPERATOR: operator_permissions(),
            Party.AGENT: agent_permissions(kind),
            Party.ARCHIVER: archiver_permissions(),
        }[party]
        checked = 0
        for name, sending in flows.SENDING.items():
            if party in sending.senders:
                assert re.search(granted.write, name)
                checked += 1
        for queue in inventory.topology().queues:
            if asyncapi.receiving(queue).receiver == party:
                concrete = queue.name.format(agentType=kind, agentId="text-1")
                assert re.search(granted.read, concrete)
                checked += 1
        assert checked >= 2


class Shade:
    """A choice, as lanes and the like are."""


SHADES = (Shade(), Shade())


class TestInventory:
    def test_texts_are_placeholders_and_choices_are_all_their_values(self) -> None:
        def hues(agent_type: str, shade: Shade, *, heartbeats: bool, more: int = 0) -> Topology:
            raise NotImplementedError

        given = list(inventory.arguments(hues))
        assert {g["agent_type"] for g in given} == {"{agentType}"}
        assert [(g["shade"], g["heartbeats"]) for g in given] == [
            (shade, flag) for shade in SHADES for flag in (False, True)
        ]
        assert "more" not in given[0]

    def test_what_has_no_known_values_is_refused(self) -> None:
        def odd(when: Registry[Any]) -> Topology:
            raise NotImplementedError

        with pytest.raises(IncompleteError, match="all that when can be"):
            list(inventory.arguments(odd))


class TestIncomplete:
    """Whoever adds something without describing it is told what, and where."""

    def test_an_exchange(self) -> None:
        declared = inventory.topology()
        more = replace(declared, exchanges=(*declared.exchanges, Exchange("harebell.new", "fanout")))
        with pytest.raises(IncompleteError, match=r"harebell\.new: an exchange that flows\.SENDING"):
            inventory.carried(more, inventory.messages())

    def test_a_queue(self) -> None:
        with pytest.raises(IncompleteError, match=r"new: a queue that flows\.RECEIVING"):
            asyncapi.receiving(Queue("new"))

    def test_a_message_on_no_exchange(self, monkeypatch: pytest.MonkeyPatch) -> None:
        silent = {
            name: replace(sending, messages=None) if sending.messages is Heartbeat else sending
            for name, sending in flows.SENDING.items()
        }
        monkeypatch.setattr(inventory, "SENDING", silent)
        with pytest.raises(IncompleteError, match="Heartbeat: a message that flows"):
            build()

    def test_a_message_without_an_example(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asyncapi, "EXAMPLES", EXAMPLES[1:])
        with pytest.raises(IncompleteError, match="Work: without an example"):
            build()

    def test_a_message_that_cannot_be_published(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inventory, "Message", Work | Heartbeat)
        with pytest.raises(IncompleteError, match=r"Cancelled, .*Welcome"):
            inventory.messages()

    def test_a_header(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asyncapi, "HEADERS", {})
        with pytest.raises(IncompleteError, match=r"agent-type, .* a header that flows"):
            build()

    def test_a_header_that_routes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mute = {name: replace(sending, headers=()) for name, sending in flows.SENDING.items()}
        monkeypatch.setattr(asyncapi, "SENDING", mute)
        with pytest.raises(IncompleteError, match=r"agent-type, lane: harebell\.work routes by this header"):
            build()

    def test_a_part_of_a_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asyncapi, "PLACEHOLDERS", {})
        with pytest.raises(IncompleteError, match="agentType"):
            build()


def test_members_of_unions_are_found_however_they_are_written() -> None:
    assert members(Work) == (Work,)
    assert all(issubclass(m, Envelope) for m in members(Reply))
    assert len(members(Reply)) == 7
    assert members(None) == ()
