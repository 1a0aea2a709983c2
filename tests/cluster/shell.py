"""Run other programs, with their output in the running step's log."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .progress import Problem, current_log

# Programs such as dockerd and iptables live in folders that a plain user's PATH may lack.
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


class Failed(Problem):
    """A program ended with an error, ran too long or could not be started."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    env = dict(os.environ)
    env["PATH"] = f"{env.get('PATH', '/usr/bin:/bin')}:{SYSTEM_PATH}"
    env.update(extra or {})
    return env


def run(
    args: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    stdin_file: Path | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program to its end and return its standard output; raise Failed if it does not succeed."""
    command = [str(arg) for arg in args]
    source = stdin_file.open("rb") if stdin_file else None
    try:
        result = subprocess.run(
            command,
            input=stdin,
            stdin=source if source else (None if stdin is not None else subprocess.DEVNULL),
            capture_output=True,
            env=environment(env),
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise Failed(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} took longer than {timeout:.0f} s") from error
    finally:
        if source:
            source.close()
    out = result.stdout.decode(errors="replace")
    err = result.stderr.decode(errors="replace")
    _record(command, out, err)
    if result.returncode:
        last = (err.strip() or out.strip() or "no output").splitlines()[-1]
        raise Failed(f"{shlex.join(command[:4])}: {last}")
    return out


def logged(
    args: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> None:
    """Run a long program with its output going to the log as it comes."""
    command = [str(arg) for arg in args]
    log = current_log()
    if log is None:
        run(args, env=env, cwd=cwd)
        return
    with log.open("ab") as out:
        out.write(f"$ {shlex.join(command)}\n".encode())
        out.flush()
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment(env),
                cwd=cwd,
                check=False,
            ).returncode
        except FileNotFoundError as error:
            raise Failed(f"{command[0]} is not installed") from error
    if code:
        raise Failed(f"{shlex.join(command[:4])} ended with status {code}")


def succeeds(
    args: Sequence[str | Path], *, env: Mapping[str, str] | None = None, timeout: float = 10
) -> bool:
    try:
        run(args, env=env, timeout=timeout)
    except Failed:
        return False
    return True


def _record(command: Sequence[str], out: str, err: str) -> None:
    log = current_log()
    if log is None:
        return
    with log.open("a") as file:
        file.write(f"$ {shlex.join(command)}\n{out[-4000:]}{err[-8000:]}")
