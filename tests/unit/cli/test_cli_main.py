"""The command as a whole: its help, its speed, and how it ends when something is wrong."""

import argparse
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harebell_cli import main as command
from harebell_cli.main import main
from harebell_cli.parser import GROUPS, root

COMMANDS = [each.name for group in GROUPS.values() for each in group]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "keys"])
def test_the_examples_in_the_help_of_a_command_are_right(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    shown = capsys.readouterr().out
    examples = [line.partition(" | ")[0] for line in shown.splitlines() if line.startswith("  harebell ")]
    assert examples
    for example in examples:
        words = shlex.split(example)[1:]
        assert words[0] == name
        root().parse_args(words)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["wait", "--help"], ["agents", "--help"]]
)
def test_help_waits_for_no_library(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom harebell_cli.main import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit: print(*{'kubernetes', 'pydantic', 'yaml'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def test_as_a_plugin_of_kubectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/kubectl-harebell", "follow", "--help"])
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr().out
    assert "usage: kubectl harebell follow" in shown
    assert "  kubectl harebell follow count-words" in shown


def _acting(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Have every command end with an error."""

    def act(*_: object) -> int:
        raise error

    class Parser:
        def parse_args(self, _: object) -> argparse.Namespace:
            return argparse.Namespace(act=act)

    monkeypatch.setattr(command, "root", Parser)


def test_no_traceback_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _acting(monkeypatch, ZeroDivisionError("by \x1b[1m zero"))
    monkeypatch.delenv("HAREBELL_DEBUG", raising=False)
    assert main([]) == 2
    assert "ZeroDivisionError: by \\x1b[1m zero" in capsys.readouterr().err
    monkeypatch.setenv("HAREBELL_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main([])


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    _acting(monkeypatch, KeyboardInterrupt())
    assert main([]) == 130


def test_a_reader_that_has_gone_is_no_drama(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "harebell_cli",
            "run",
            "echo",
            "--type",
            "t",
            "--dry-run=client",
            "-o",
            "json",
        ],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_output_fits_the_encoding_of_the_terminal(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    line = ["run", "echo", "--type", "t", "--name", "ü", "--set", "a=ü", "--dry-run=client"]
    assert main([*line, "-o", "json"]) == 0
    assert main(line) == 0
    text = written.getvalue().decode(encoding)
    assert ("ü" in text) == (encoding == "utf-8")
    assert ("\\u00fc" in text) == (encoding == "ascii")
