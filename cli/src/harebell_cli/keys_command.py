"""``harebell keys``: what is asked, of which Secret, and what is printed."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from harebell_crds.keys import Scope

from . import keys
from .exits import DONE, FAILED
from .keys import Wish
from .parser import Parser, add_place, duration
from .secret import KeySecret, KeyStore
from .session import Session
from .text import note, say

_EPILOG = """\
The Secret is that of a release, RELEASE-harebell-api-keys, unless --secret names another. What is written
there takes effect within ten seconds. Keys themselves are stored nowhere.
"""

Act = Callable[[KeyStore, argparse.Namespace], None]


def options(parser: Parser) -> None:
    """Add the commands."""
    parser.description, parser.epilog = "Makes, lists and revokes API keys.", _EPILOG
    commands = parser.add_subparsers(metavar="COMMAND", required=True, prog=parser.prog)

    create = _command(commands, "create", _create, "make a key, and print it this once")
    create.add_argument("--name", required=True, help="whose key it is; several keys of one name may overlap")
    create.add_argument(
        "--scope",
        action="append",
        required=True,
        choices=[scope.value for scope in Scope],
        metavar="SCOPE",
        help=f"{', '.join(Scope)}; may be repeated",
    )
    create.add_argument(
        "--namespace-limit",
        action="append",
        default=[],
        metavar="NAMESPACE",
        help="good only for an API that serves this namespace; may be repeated",
    )
    create.add_argument(
        "--agent-type",
        action="append",
        default=[],
        metavar="TYPE",
        help="has to do with agents of this type alone; may be repeated",
    )
    create.add_argument("--expires", type=duration, metavar="TIME", help="such as 12h, 30d; default: never")

    listing = _command(commands, "list", _list, "list the keys")
    listing.add_argument("-o", "--output", choices=["table", "json"], default="table", help="default: table")

    revoke = _command(commands, "revoke", _revoke, "have a key let nobody in any more, for good")
    revoke.add_argument("key", metavar="ID|NAME", help="the key with this id, or the only one of this name")
    revoke.add_argument("--all", action="store_true", help="every key of the name")


def _command(
    commands: "argparse._SubParsersAction[Parser]", name: str, act: Act, words: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=words, description=f"{words.capitalize()}.", epilog=_EPILOG)

    def on_secret(session: Session, asked: argparse.Namespace) -> int:
        secret = asked.secret or secret_name(asked.release)
        act(KeySecret(session.connection, session.namespace, secret), asked)
        return DONE

    command.set_defaults(act=on_secret, refused=FAILED)
    which = command.add_mutually_exclusive_group()
    which.add_argument("--release", default="harebell", help="of the chart; default: harebell")
    which.add_argument("--secret", help="name of the Secret, where it is not that of a release")
    add_place(command)
    return command


def secret_name(release: str) -> str:
    """Return the name the chart gives to the Secret of a release, if its values do not say another."""
    whole = release if "harebell" in release else f"{release}-harebell"
    return f"{whole.replace('.', '-')[:40].removesuffix('-')}-api-keys"


def _create(store: KeyStore, asked: argparse.Namespace) -> None:
    wish = Wish(
        asked.name,
        tuple(map(Scope, asked.scope)),
        tuple(asked.namespace_limit),
        tuple(asked.agent_type),
        asked.expires,
    )
    key, record = keys.create(store, wish, _now())
    # The key alone on standard output, so that KEY=$(harebell keys create ...) has it.
    say(key)
    ends = f"until {record.to_wire()['expiresAt']}" if record.expires_at else "until it is revoked"
    note(f"key {record.id} of {record.name}, good {ends}; it is shown this once only")


def _list(store: KeyStore, asked: argparse.Namespace) -> None:
    records, broken = keys.parsed(store.read().entries)
    say({"table": keys.table, "json": keys.document}[asked.output](records, broken, _now()))
    for name, why in broken.items():
        note(f"entry {name} is no key and lets nobody in: {why}")


def _revoke(store: KeyStore, asked: argparse.Namespace) -> None:
    for record in keys.revoke(store, asked.key, every=asked.all):
        say(f"key {record.id} of {record.name} is revoked")


def _now() -> datetime:
    return datetime.now(UTC)
