"""Which brokers are accepted, and where the settings say one is."""

import asyncio
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aio_pika
import pytest
import trustme
from aio_pika.abc import AbstractConnection

from harebell_bus.errors import BrokerUnavailableError, BusError, UnsupportedBrokerError
from harebell_bus.link import Link, check_version, describe, open_channel
from harebell_bus.settings import BrokerSettings, BrokerSettingsError


def connected_to(product: str | None, version: Any) -> AbstractConnection:
    properties = {"product": product, "version": version}
    transport = SimpleNamespace(connection=SimpleNamespace(server_properties=properties))
    return cast(AbstractConnection, SimpleNamespace(transport=transport))


@pytest.mark.parametrize("version", ["4.3.0", "4.3.6", "4.10.1", "5.0.0", b"4.3.6", "4.3.0-rc.1"])
def test_new_enough(version: Any) -> None:
    check_version(connected_to("RabbitMQ", version))


@pytest.mark.parametrize(
    ("product", "version", "said"),
    [
        ("RabbitMQ", "4.2.9", "4.2.9 is too old: harebell needs 4.3"),
        ("RabbitMQ", "3.13.7", "too old"),
        ("RabbitMQ", "", "not RabbitMQ"),
        ("LavinMQ", "4.3.0", "LavinMQ"),
        (None, "4.3.0", "not RabbitMQ"),
    ],
)
def test_refused_with_a_reason(product: str | None, version: str, said: str) -> None:
    with pytest.raises(UnsupportedBrokerError, match=said):
        check_version(connected_to(product, version))


def test_an_error_without_words_is_told_by_its_name() -> None:
    assert describe(TimeoutError()) == "TimeoutError"
    assert describe(OSError("refused")) == "OSError: refused"


@pytest.mark.parametrize(
    ("closed", "transport"),
    [(True, True), (False, True), (True, False)],
    ids=["both", "below", "no transport"],
)
async def test_a_lost_connection_is_told_as_such_when_a_channel_is_asked_for(
    closed: bool, transport: bool
) -> None:
    """aiormq notices first, and has a plain RuntimeError for it."""
    below = SimpleNamespace(connection=SimpleNamespace(is_closed=True)) if transport else None
    connection = SimpleNamespace(is_closed=closed, transport=below, channel=_no_channel)
    with pytest.raises(BrokerUnavailableError, match="lost"):
        await open_channel(cast(AbstractConnection, connection))


async def test_another_error_of_opening_a_channel_is_not() -> None:
    below = SimpleNamespace(connection=SimpleNamespace(is_closed=False))
    connection = SimpleNamespace(is_closed=False, transport=below, channel=_no_channel)
    with pytest.raises(RuntimeError, match="closed"):
        await open_channel(cast(AbstractConnection, connection))


async def _no_channel(**_: Any) -> None:
    raise RuntimeError("closed")


async def test_a_connection_closed_before_the_first_word_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = asyncio.Semaphore(0)

    async def connect(*_: Any, **__: Any) -> None:
        tried.release()
        raise StopAsyncIteration  # as aiormq does then

    async def session(_: AbstractConnection) -> None:
        raise AssertionError("there is no connection")

    monkeypatch.setattr(aio_pika, "connect", connect)
    link = Link(BrokerSettings("amqp://broker/vhost"), "test")
    running = asyncio.create_task(link.run(session))
    async with asyncio.timeout(30):
        await tried.acquire()
        await tried.acquire()
    assert not running.done()
    assert link.error == "closed at once"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_link_can_be_cancelled_while_the_broker_says_nothing() -> None:
    connected = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # the protocol's name
        connected.set()
        await reader.read()
        writer.close()

    async def session(_: AbstractConnection) -> None:
        raise AssertionError("there is no connection")

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    running = asyncio.create_task(Link(BrokerSettings(f"amqp://127.0.0.1:{port}/"), "test").run(session))
    async with asyncio.timeout(30):
        await connected.wait()
    running.cancel()
    await asyncio.wait({running}, timeout=5)
    ended = running.cancelled()
    while not running.done():  # so that the test ends, whatever it finds
        running.cancel()
        await asyncio.sleep(0.1)
    server.close()
    assert ended


@pytest.mark.parametrize(
    "environment",
    [{}, {"HAREBELL_AMQP_URL": "amqp://a/", "HAREBELL_AMQP_URL_FILE": "/f"}, {"HAREBELL_AMQP_URL": ""}],
)
def test_exactly_one_place_for_the_url(environment: dict[str, str]) -> None:
    with pytest.raises(BrokerSettingsError, match="HAREBELL_AMQP_URL"):
        BrokerSettings.from_environment(environment)


def test_a_rotated_url_is_read_at_the_next_connect(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("amqp://user:old@broker/vhost\n")
    settings = BrokerSettings.from_environment({"HAREBELL_AMQP_URL_FILE": str(file)})
    assert settings.url().password == "old"
    file.write_text("amqps://user:new@broker/vhost")
    assert (settings.url().scheme, settings.url().password) == ("amqps", "new")


def test_a_half_written_file_is_an_error_that_passes(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("")
    settings = BrokerSettings.from_environment({"HAREBELL_AMQP_URL_FILE": str(file)})
    with pytest.raises(BusError):
        settings.url()


def test_the_password_stays_out_of_logs() -> None:
    settings = BrokerSettings.from_environment({"HAREBELL_AMQP_URL": "amqp://user:secret@broker/"})
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("given", ["HAREBELL_AMQP_CERT_FILE", "HAREBELL_AMQP_KEY_FILE"])
def test_a_certificate_comes_with_its_key(given: str) -> None:
    with pytest.raises(BrokerSettingsError, match="both or none of HAREBELL_AMQP_CERT_FILE"):
        BrokerSettings.from_environment({"HAREBELL_AMQP_URL": "amqps://broker/", given: "/f"})


@pytest.mark.parametrize("query", ["", "?no_verify_ssl=1"])
def test_the_server_and_its_name_are_always_verified(query: str) -> None:
    context = BrokerSettings(f"amqps://broker/vhost{query}").ssl_context()
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert BrokerSettings("amqp://broker/vhost").ssl_context() is None


@pytest.mark.parametrize(
    "bad", ["HAREBELL_AMQP_CA_FILE", "HAREBELL_AMQP_CERT_FILE", "HAREBELL_AMQP_KEY_FILE"]
)
def test_a_file_that_is_being_exchanged_is_an_error_that_names_it_and_passes(
    certificate: dict[str, str], tmp_path: Path, bad: str
) -> None:
    half = tmp_path / "half"
    environment = {"HAREBELL_AMQP_URL": "amqps://broker/", **certificate, bad: str(half)}
    settings = BrokerSettings.from_environment(environment)
    for make in (lambda: None, lambda: half.write_text("-----BEGIN CERT")):
        make()
        with pytest.raises(BrokerUnavailableError, match=bad):
            settings.ssl_context()
    half.write_text(Path(certificate[bad]).read_text())
    assert settings.ssl_context() is not None


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    """A CA, a certificate of it, and its key."""
    cert, key, ca_file = (tmp_path / name for name in ("tls.crt", "tls.key", "ca.crt"))
    ca = trustme.CA()
    issued = ca.issue_cert("client")
    ca.cert_pem.write_to_path(str(ca_file))
    issued.private_key_pem.write_to_path(str(key))
    issued.cert_chain_pems[0].write_to_path(str(cert))
    return {
        "HAREBELL_AMQP_CA_FILE": str(ca_file),
        "HAREBELL_AMQP_CERT_FILE": str(cert),
        "HAREBELL_AMQP_KEY_FILE": str(key),
    }
