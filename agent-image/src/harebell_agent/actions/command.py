"""``command``: runs a program, if the agent's configuration allows it. No shell."""

import asyncio
import os
import signal
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from harebell_agent.context import Context
from harebell_agent.errors import PermanentError, RetryableError
from harebell_agent.outcome import as_json

from .allow import AllowList
from .model import Model

OUTPUT_BYTES = 16 * 1024
OUTPUT_JSON_BYTES = 30 * 1024
"""The most that an output may be as JSON, which has up to six bytes for one: two of them and what else the
result holds are not more than a result may be."""
TAIL_CHARACTERS = 2000
"""How much of the output goes into the message of a failure."""
KILL_SECONDS = 2.0
"""From the polite signal to the other one."""
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""What a command gets of the agent's environment, which holds the broker's password."""

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class CommandPayload(Model):
    """What to run."""

    argv: Annotated[list[Text], Field(min_length=1, max_length=256)]
    timeout_seconds: Annotated[float, Field(gt=0, le=24 * 3600)] = 60.0
    stdin: str | None = None
    ok_exit_codes: Annotated[list[int], Field(min_length=1)] = [0]  # noqa: RUF012
    """Exit codes that are no failure."""


class CommandResult(Model):
    """How it ended. Of each output the last 16 KiB are kept, and no more than is 30 KiB as JSON."""

    exit_code: int
    stdout: str
    stderr: str
    stdout_truncated: bool
    stderr_truncated: bool
    seconds: float


def repeatable(allowed: AllowList) -> bool | Callable[[Mapping[str, Any]], bool]:
    """Return whether commands are idempotent: as their entries in ``allowed`` say, by default not."""

    def says(payload: Mapping[str, Any]) -> bool:
        try:
            asked = CommandPayload.model_validate(payload)
        except ValidationError:
            return True  # It is refused before anything runs.
        return allowed.resolve(asked.argv) is None or allowed.may_be_repeated(asked.argv)

    return True if allowed.all_idempotent else says


def command_action(allowed: AllowList) -> Callable[[Context, CommandPayload], Awaitable[CommandResult]]:
    """Return the action, which runs only what ``allowed`` has."""

    async def command(ctx: Context, payload: CommandPayload) -> CommandResult:
        argv = allowed.resolve(payload.argv)
        if argv is None:
            raise PermanentError(
                f"{payload.argv[0]!r} so called is not allowed here", code="CommandNotAllowed"
            )
        return await _run(ctx, argv, payload)

    return command


async def _run(ctx: Context, argv: tuple[str, ...], payload: CommandPayload) -> CommandResult:
    begun = time.monotonic()
    process = await _start(argv, payload)
    assert process.stdout and process.stderr  # noqa: PT018
    out, err = _Tail(), _Tail()
    reading = asyncio.gather(
        out.read(process.stdout), err.read(process.stderr), _feed(process, payload.stdin)
    )
    telling = asyncio.create_task(_tell(ctx, argv[0], begun))
    try:
        async with asyncio.timeout(payload.timeout_seconds):
            await process.wait()
            await reading
    except TimeoutError:
        message = f"{argv[0]!r} ran longer than {payload.timeout_seconds:g} s\n{_tail(err, out)}"
        raise RetryableError(message, code="CommandTimedOut") from None
    finally:
        telling.cancel()
        await _end(process)
        reading.cancel()
        await asyncio.gather(reading, telling, return_exceptions=True)
        # A child that was just killed may not have closed its end of the pipes yet; asyncio offers no other
        # way to close ours before they are garbage.
        process._transport.close()  # type: ignore[attr-defined]
    code = process.returncode
    assert code is not None
    if code not in payload.ok_exit_codes:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        raise RetryableError(f"{argv[0]!r} {how}\n{_tail(err, out)}", code="CommandFailed")
    (stdout, stdout_truncated), (stderr, stderr_truncated) = out.fitting(), err.fitting()
    return CommandResult(
        exit_code=code,
        stdout=stdout,
        stderr=stderr,
        stdout_truncated=stdout_truncated,
        stderr_truncated=stderr_truncated,
        seconds=round(time.monotonic() - begun, 3),
    )


async def _start(argv: tuple[str, ...], payload: CommandPayload) -> asyncio.subprocess.Process:
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL if payload.stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            start_new_session=True,  # A process group of its own, so that its children can be killed with it.
        )
    )
    try:
        # Cancelled halfway, asyncio would kill the command alone, and wait for children that hold its output.
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        if starting.exception() is None:
            await _end(starting.result())
            starting.result()._transport.close()  # type: ignore[attr-defined]  # As above.
        raise
    except OSError as error:
        raise PermanentError(
            f"{argv[0]!r} cannot be run: {error.strerror}", code="CommandNotRunnable"
        ) from error


@dataclass
class _Tail:
    """The last of an output."""

    kept: bytes = b""
    truncated: bool = False

    async def read(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(OUTPUT_BYTES):
            self.truncated = self.truncated or len(self.kept) + len(chunk) > OUTPUT_BYTES
            self.kept = (self.kept + chunk)[-OUTPUT_BYTES:]

    def text(self) -> str:
        return self.kept.decode(errors="replace")

    def fitting(self) -> tuple[str, bool]:
        """Return as much of its end as a result holds, and whether that is not all there was."""
        text = self.text()
        cut = bisect_left(range(len(text)), -OUTPUT_JSON_BYTES, key=lambda n: -as_json(text[n:])[1])
        return text[cut:], self.truncated or cut > 0


def _tail(err: _Tail, out: _Tail) -> str:
    return (err.text().strip() or out.text().strip())[-TAIL_CHARACTERS:]


async def _feed(process: asyncio.subprocess.Process, text: str | None) -> None:
    if text is None or process.stdin is None:
        return
    try:
        process.stdin.write(text.encode())
        await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        return  # It does not read all of its input, which is its own affair.


async def _tell(ctx: Context, program: str, begun: float) -> None:
    while True:
        await ctx.progress(message=f"{program} has been running for {time.monotonic() - begun:.0f} s")
        await asyncio.sleep(5)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the command and whatever it started: politely, and then not. Nothing happens if all is gone."""
    if not _signal(process, signal.SIGTERM):
        return
    try:
        async with asyncio.timeout(KILL_SECONDS):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> bool:
    """Signal the group; tell whether there is one left."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True
