"""The command line: which commands there are, and what they share.

Each command's module is imported when it is called, so that ``--help`` does not wait for libraries.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from .durations import parse_duration, parse_timeout

T = TypeVar("T")
PRIORITIES = ("critical", "high", "normal", "low", "background")
"""Those of :class:`harebell_crds.task.Priority`, which takes long to load."""


@dataclass(frozen=True)
class Command:
    """One command, and the function that gives its parser options, as ``module:function``."""

    name: str
    help: str
    options: str


GROUPS: dict[str, tuple[Command, ...]] = {
    "work": (
        Command("run", "make a Task, follow it, and print its result", "run:options"),
        Command(
            "follow", "follow a Task until it has finished, and print its result", "waiting:follow_options"
        ),
        Command("wait", "wait until Tasks have finished", "waiting:wait_options"),
        Command("result", "print the result of a Task", "waiting:result_options"),
        Command("why", "say why a Task waits, or what it failed of", "why:options"),
        Command("cancel", "cancel Tasks", "steering:cancel_options"),
        Command("suspend", "keep Tasks from starting", "steering:suspend_options"),
        Command("resume", "let suspended Tasks start", "steering:resume_options"),
        Command("priority", "change the priority of waiting Tasks", "steering:priority_options"),
        Command("replay", "do unsuccessful Tasks again", "replaying:options"),
    ),
    "agents": (
        Command("agents", "show agents, and what they do", "agents:options"),
        Command("pause", "have agents take no new work", "steering:pause_options"),
        Command("unpause", "let paused agents take work", "steering:unpause_options"),
        Command("drain", "have agents that are to go take no new work", "steering:drain_options"),
        Command("undrain", "let drained agents take work", "steering:undrain_options"),
        Command("announce", "tell agents something, or have them pause", "announcing:options"),
    ),
    "the installation": (
        Command("keys", "API keys", "keys_command:options"),
        Command("version", "versions of this command and of the installation", "version:options"),
    ),
}


class Parser(argparse.ArgumentParser):
    """A parser that gets its options when it is used, and takes options between positional arguments."""

    def __init__(self, *, options: Callable[["Parser"], None] | None = None, **more: Any) -> None:
        more["formatter_class"] = argparse.RawDescriptionHelpFormatter
        more["allow_abbrev"] = False
        super().__init__(**more)
        self._options, self._entered = options, False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """See :class:`argparse.ArgumentParser`."""
        if self._options is not None:
            options, self._options = self._options, None
            options(self)
        if self._entered or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._entered = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._entered = False


def program() -> str:
    """Return what people typed to get here."""
    name = os.path.basename(sys.argv[0])  # noqa: PTH119  (a name, not a file)
    return "kubectl harebell" if name.startswith("kubectl-") else "harebell"


def root() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog=program(),
        usage="%(prog)s COMMAND ...",
        description=_overview(),
        epilog=f"{program()} COMMAND --help has the options of a command, and examples.",
    )
    add_place(parser, default=None)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, help=argparse.SUPPRESS, prog=program())
    for command in (each for group in GROUPS.values() for each in group):
        commands.add_parser(
            command.name,
            options=_loaded(command.options),
            description=f"{command.help[0].upper()}{command.help[1:]}.",
        )
    return parser


def _overview() -> str:
    width = max(len(command.name) for group in GROUPS.values() for command in group)
    lines = ["Works on an installation of harebell, with your kubeconfig and your rights."]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {command.name:{width}}  {command.help}" for command in group)]
    return "\n".join(lines)


def _loaded(where: str) -> Callable[[Parser], None]:
    module, _, function = where.partition(":")

    def options(parser: Parser) -> None:
        getattr(import_module(f"{__package__}.{module}"), function)(parser)

    return options


# ---- what commands share -----------------------------------------------------------------------------------


def add_place(parser: argparse.ArgumentParser, default: str | None = argparse.SUPPRESS) -> None:
    """Add the options that say where; they may stand before the command or after it."""
    group = parser.add_argument_group("where")
    group.add_argument("-n", "--namespace", default=default, help="default: that of the kubeconfig's context")
    group.add_argument("--context", default=default, help="of the kubeconfig; default: the current one")
    group.add_argument(
        "--kubeconfig", default=default, metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config"
    )


def add_examples(parser: argparse.ArgumentParser, *examples: str, text: str = "") -> None:
    """Add examples, each without the program's name, and what else is to be said."""
    shown = "\n".join(f"  {program()} {example}" for example in examples)
    parser.epilog = f"{text}\n\nexamples:\n{shown}" if text else f"examples:\n{shown}"


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add ``--dry-run``."""
    parser.add_argument(
        "--dry-run",
        choices=["none", "client", "server"],
        default="none",
        help="change nothing: client asks nobody, server has the API server check it",
    )


def add_timeout(parser: argparse.ArgumentParser, words: str) -> None:
    """Add ``--timeout``."""
    parser.add_argument(
        "--timeout", type=timeout, metavar="TIME", help=f"{words}, such as 90s, 5m, 1h30m; default: for ever"
    )


def add_selection(parser: argparse.ArgumentParser, kind: str, every: str) -> None:
    """Add what says which objects are meant: names, ``-l`` or ``--all``."""
    parser.add_argument("names", nargs="*", metavar=kind, help="by name")
    parser.add_argument("-l", "--selector", metavar="LABELS", help="those with these labels: team=web")
    parser.add_argument("--all", action="store_true", help=every)


def typed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return a parser of an option's value, whose ValueError is shown."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


duration, timeout = typed(parse_duration), typed(parse_timeout)


def positive(text: str) -> int:
    """Return a number from 0. :raises argparse.ArgumentTypeError: it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0")
    return int(text)


def pair(text: str) -> tuple[str, str]:
    """Return key and value of ``KEY=VALUE``. :raises argparse.ArgumentTypeError: it is none."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def shown_values(values: Sequence[str], default: str) -> str:
    """Return the values that an option takes, for its help."""
    return f"{', '.join(values)}; default: {default}"


def object_name(text: str) -> str:
    """Return a name, without the kind that kubectl prints before it (``task.harebell.dev/NAME``)."""
    name = text.rpartition("/")[2]
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} is no name")
    return name


def shown(*words: str) -> str:
    """Return a command line of this program that can be pasted into a shell."""
    return f"{program()} {shlex.join(words)}"
