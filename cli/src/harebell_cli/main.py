"""The command line: what is asked, of which Secret, and what is printed."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from harebell_crds.keys import Scope

from . import keys
from .durations import parse_duration
from .errors import CommandError
from .keys import Wish
from .secret import Connection, KeySecret, KeyStore, connect

_FAILED = 1
_EPILOG = """\
The Secret is that of a release, RELEASE-harebell-api-keys, unless --secret names another. What is written
there takes effect within ten seconds. Keys themselves are stored nowhere.
"""


def main(
    arguments: Sequence[str] | None = None, connecting: Callable[[str | None], Connection] = connect
) -> int:
    """Do what the command line says and return the exit status: 0, 1 if it failed, 2 if it is wrong."""
    asked = _parser().parse_args(arguments)
    try:
        connection = connecting(asked.context)
        namespace = asked.namespace or connection.namespace
        asked.act(KeySecret(connection, namespace, asked.secret or secret_name(asked.release)), asked)
    except CommandError as error:
        print(f"harebell: {error}", file=sys.stderr)
        return _FAILED
    return 0


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
    print(key)
    ends = f"until {record.to_wire()['expiresAt']}" if record.expires_at else "until it is revoked"
    print(f"key {record.id} of {record.name}, good {ends}; it is shown this once only", file=sys.stderr)


def _list(store: KeyStore, asked: argparse.Namespace) -> None:
    records, broken = keys.parsed(store.read().entries)
    print({"table": keys.table, "json": keys.document}[asked.output](records, broken, _now()))
    for name, why in broken.items():
        print(f"entry {name} is no key and lets nobody in: {why}", file=sys.stderr)


def _revoke(store: KeyStore, asked: argparse.Namespace) -> None:
    for record in keys.revoke(store, asked.key, every=asked.all):
        print(f"key {record.id} of {record.name} is revoked")


def _now() -> datetime:
    return datetime.now(UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="harebell", description="Works on an installation of harebell.")
    nouns = parser.add_subparsers(metavar="THING", required=True)
    commands = nouns.add_parser(
        "keys", help="API keys", description="Makes, lists and revokes API keys.", epilog=_EPILOG
    ).add_subparsers(metavar="COMMAND", required=True)

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
    create.add_argument("--expires", type=_duration, metavar="TIME", help="such as 12h, 30d; default: never")

    listing = _command(commands, "list", _list, "list the keys")
    listing.add_argument("-o", "--output", choices=["table", "json"], default="table", help="default: table")

    revoke = _command(commands, "revoke", _revoke, "have a key let nobody in any more, for good")
    revoke.add_argument("key", metavar="ID|NAME", help="the key with this id, or the only one of this name")
    revoke.add_argument("--all", action="store_true", help="every key of the name")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    act: Callable[[KeyStore, argparse.Namespace], None],
    words: str,
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=words, description=f"{words.capitalize()}.", epilog=_EPILOG
    )
    command.set_defaults(act=act)
    command.add_argument("-n", "--namespace", help="of the Secret; default: that of the kubeconfig's context")
    command.add_argument("--context", help="of the kubeconfig; default: the current one")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--release", default="harebell", help="of the chart; default: harebell")
    which.add_argument("--secret", help="name of the Secret, where it is not that of a release")
    return command


def _duration(text: str) -> object:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
