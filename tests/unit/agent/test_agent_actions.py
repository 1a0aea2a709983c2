"""The built-in actions, each by itself."""

import asyncio
import gzip
import hashlib
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import test_utils, web
from pydantic import ValidationError

from harebell_agent import PermanentError, RetryableError
from harebell_agent.actions.allow import AllowList, parse
from harebell_agent.actions.command import (
    OUTPUT_BYTES,
    OUTPUT_JSON_BYTES,
    CommandPayload,
    CommandResult,
    command_action,
)
from harebell_agent.actions.echo import echo
from harebell_agent.actions.probe import ProbePayload, ProbeResult, probe
from harebell_agent.actions.sleep import SleepPayload, sleep
from harebell_agent.actions.text import StatsPayload, WordCount, stats
from harebell_agent.builtin import build
from harebell_agent.outcome import Returned, reply_to
from harebell_agent.settings import Settings
from harebell_bus.envelopes import Succeeded
from harebell_bus.settings import BrokerSettings

from .support import ME, NOW, TASK, Kept, Silent, context, until

# ---- http.probe ---------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[test_utils.TestServer]:
    async def body(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.match_info["size"]))

    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound("/body/3")

    async def packed(request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"x" * 10000), headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.add_routes([web.get("/body/{size}", body), web.get("/never", never)])
    app.add_routes([web.get("/away", away), web.get("/packed", packed)])
    server = test_utils.TestServer(app)
    async with server:
        yield server


async def one(server: test_utils.TestServer, path: str, **more: object) -> ProbeResult:
    payload = ProbePayload.model_validate({"urls": [str(server.make_url(path))], **more})
    (result,) = await probe(context(), payload)
    return result


async def test_a_probe_tells_how_a_url_answers(server: test_utils.TestServer) -> None:
    result = await one(server, "/body/5000")
    assert (result.status, result.bytes, result.truncated, result.error) == (200, 5000, False, None)
    assert result.body_sha256 == hashlib.sha256(b"x" * 5000).hexdigest()
    assert result.latency_ms is not None
    assert result.latency_ms > 0


async def test_a_probe_reads_no_more_than_it_should(server: test_utils.TestServer) -> None:
    result = await one(server, "/body/5000", maxBytes=100)
    assert (result.bytes, result.truncated) == (100, True)
    assert result.body_sha256 == hashlib.sha256(b"x" * 100).hexdigest()
    assert not (await one(server, "/body/100", maxBytes=100)).truncated


async def test_a_probe_does_not_unpack(server: test_utils.TestServer) -> None:
    result = await one(server, "/packed")
    assert result.bytes is not None
    assert result.bytes < 1000


async def test_a_head_has_no_body(server: test_utils.TestServer) -> None:
    result = await one(server, "/body/5000", method="HEAD")
    assert (result.status, result.bytes) == (200, 0)


async def test_redirects_are_followed_only_when_asked(server: test_utils.TestServer) -> None:
    assert (await one(server, "/away")).status == 302
    followed = await one(server, "/away", followRedirects=True)
    assert (followed.status, followed.bytes) == (200, 3)


async def test_what_cannot_be_reached_is_a_result(server: test_utils.TestServer) -> None:
    urls = [
        f"http://127.0.0.1:{test_utils.unused_port()}/",
        "ftp://127.0.0.1/",
        "nonsense",
        "http://[bad/",
        str(server.make_url("/never")),
        str(server.make_url("/body/1")),
    ]
    told = Silent()
    results = await probe(context(told), ProbePayload(urls=urls, timeout_seconds=0.3))
    assert [r.url for r in results] == urls
    assert [r.error is None for r in results] == [False] * 5 + [True]
    assert "Cannot connect" in str(results[0].error)
    assert results[1].error == "not an http or https URL"
    assert results[4].error == "no complete answer within 0.3 s"
    assert told.reports[-1] == (100.0, "6 of 6")


@pytest.mark.parametrize(
    "payload",
    [{"urls": []}, {"urls": ["http://x"] * 101}, {"urls": ["http://x"], "method": "POST"}, {"urls": "x"}],
)
def test_a_probe_that_makes_no_sense(payload: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ProbePayload.model_validate(payload)


# ---- command -------------------------------------------------------------------------------------------

PYTHON = AllowList(prefixes=((sys.executable, "-c"),))


async def python(code: str, *arguments: str, **more: object) -> CommandResult:
    payload = CommandPayload.model_validate({"argv": [sys.executable, "-c", code, *arguments], **more})
    return await command_action(PYTHON)(context(), payload)


async def test_a_command_runs_without_a_shell() -> None:
    result = await python(
        "import sys; print(sys.argv[1:], sys.stdin.read()); print('e', file=sys.stderr)",
        "$HOME; ls",
        stdin="in",
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0, "['$HOME; ls'] in\n", "e\n")
    assert not result.stdout_truncated


async def test_a_command_that_reads_none_of_a_long_input() -> None:
    assert (await python("pass", stdin="x" * 1_000_000)).exit_code == 0


async def test_a_command_gets_none_of_the_agent_s_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAREBELL_AMQP_URL", "amqp://u:hunter2@x")
    result = await python("import os; print('HAREBELL_AMQP_URL' in os.environ, 'PATH' in os.environ)")
    assert result.stdout == "False True\n"


async def test_the_end_of_a_long_output_is_kept() -> None:
    result = await python("import sys; sys.stdout.write('a' * 100000 + 'end'); sys.stderr.write('e' * 20000)")
    assert len(result.stdout) == OUTPUT_BYTES
    assert result.stdout.endswith("aend")
    assert result.stdout_truncated
    assert result.stderr_truncated


@pytest.mark.parametrize(
    ("byte", "each"),
    [(0, 6), (255, 3), (34, 2), (97, 1)],
    ids=["escaped by number", "not UTF-8", "a quotation mark", "a letter"],
)
@pytest.mark.parametrize("size", [OUTPUT_BYTES, 20_000])
async def test_a_command_succeeds_whatever_bytes_it_writes(byte: int, each: int, size: int) -> None:
    """``each``: how many bytes one becomes as JSON."""
    result = await python(
        f"import sys; [o.buffer.write(bytes([{byte}]) * {size}) for o in (sys.stdout, sys.stderr)]"
    )
    kept = min(OUTPUT_BYTES, (OUTPUT_JSON_BYTES - len('""')) // each)
    assert (len(result.stdout), len(result.stderr)) == (kept, kept)
    assert (result.stdout_truncated, result.stderr_truncated) == (size > kept, size > kept)
    assert isinstance(reply_to(Returned(result), task=TASK, attempt=1, agent=ME, at=NOW), Succeeded)


async def test_of_an_output_that_is_long_as_json_the_end_is_kept() -> None:
    result = await python("import sys; sys.stdout.buffer.write(bytes(10_000) + 'end é'.encode())")
    assert result.stdout.endswith("\0end é")
    assert result.stdout_truncated


async def test_a_command_that_is_not_allowed() -> None:
    with pytest.raises(PermanentError) as raised:
        await command_action(PYTHON)(context(), CommandPayload(argv=["/bin/sh", "-c", "true"]))
    assert raised.value.code == "CommandNotAllowed"


async def test_a_command_that_is_not_there() -> None:
    allowed = AllowList(named={"tool": ("/nonexistent/tool",)})
    with pytest.raises(PermanentError) as raised:
        await command_action(allowed)(context(), CommandPayload(argv=["tool"]))
    assert raised.value.code == "CommandNotRunnable"


async def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(RetryableError, match="exited with 3\nno disk") as raised:
        await python("import sys; sys.exit(print('no disk', file=sys.stderr) or 3)")
    assert raised.value.code == "CommandFailed"
    assert (await python("exit(3)", okExitCodes=[0, 3])).exit_code == 3
    with pytest.raises(RetryableError, match="killed by SIGKILL"):
        await python("import os; os.kill(os.getpid(), 9)")


FAMILY = """
import os, pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""


def alive(file: Path) -> bool:
    try:
        state = Path(f"/proc/{file.read_text()}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with pytest.raises(RetryableError) as raised:
        await python(FAMILY, str(file), timeoutSeconds=2)
    assert raised.value.code == "CommandTimedOut"
    await until(lambda: not alive(file))


async def test_a_cancelled_command_is_killed_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    running = asyncio.create_task(python(FAMILY, str(file)))
    await until(lambda: file.exists() and file.read_text())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not alive(file))


async def test_a_command_that_is_cancelled_while_it_starts_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, start = tmp_path / "pid", asyncio.create_subprocess_exec

    async def slow(*argv: Any, **more: Any) -> asyncio.subprocess.Process:
        process = await start(*argv, **more)
        await asyncio.sleep(1)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slow)
    running = asyncio.create_task(python(FAMILY, str(file)))
    await until(lambda: file.exists() and file.read_text())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not alive(file))


async def test_a_command_that_leaves_a_child_with_its_output_is_not_waited_for_for_ever() -> None:
    code = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print('done')"
    with pytest.raises(RetryableError, match="longer than 1 s\ndone"):
        await python(code, timeoutSeconds=1)


# ---- text.stats, sleep, echo, the agent ------------------------------------------------------------------


def test_text_statistics() -> None:
    result = stats(context(), StatsPayload(text="The café's café,\nthe CAFÉ. It's 2 o'clock\n", top=3))
    assert (result.characters, result.words, result.lines) == (42, 8, 2)
    assert result.most_frequent_words == [
        WordCount(word="the", count=2),
        WordCount(word="café", count=2),
        WordCount(word="café's", count=1),
    ]
    assert stats(context(), StatsPayload(text="")).most_frequent_words == []


@pytest.mark.parametrize("result", ["one two", {"text": "one two", "more": 1}])
def test_the_text_may_be_what_another_task_returned(result: Any) -> None:
    given = replace(context(), inputs={"fetch": result})
    assert stats(given, StatsPayload(text_from="fetch")).words == 2


@pytest.mark.parametrize(
    ("inputs", "code"),
    [({}, "InvalidPayload"), ({"fetch": None}, "InvalidInput"), ({"fetch": {"text": 1}}, "InvalidInput")],
)
def test_without_such_a_text_it_fails_for_good(inputs: dict[str, Any], code: str) -> None:
    with pytest.raises(PermanentError) as caught:
        stats(replace(context(), inputs=inputs), StatsPayload(text_from="fetch"))
    assert caught.value.code == code


@pytest.mark.parametrize("payload", [{}, {"text": "a", "textFrom": "b"}])
def test_the_text_has_one_source(payload: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="either text or textFrom"):
        StatsPayload.model_validate(payload)


async def test_sleeping_tells_how_far_it_is() -> None:
    told = Silent()
    result = await sleep(context(told), SleepPayload(seconds=0.05))
    assert result.slept_seconds >= 0.05
    assert told.reports[0][1] == "0 of 0.05 s"
    with pytest.raises(ValidationError):
        SleepPayload(seconds=3601)


async def test_echo() -> None:
    assert await echo(context(), {"a": 1}) == {"a": 1}


@pytest.mark.parametrize("allowed", [True, False])
def test_the_built_in_agent_runs_commands_only_where_some_are_allowed(allowed: bool) -> None:
    settings = Settings(BrokerSettings(), "a", command_allow=PYTHON if allowed else AllowList())
    assert ("command" in build(settings).actions) is allowed
    assert {"echo", "http.probe", "sleep", "text.stats"} <= set(build(settings).actions)


async def test_sleeping_goes_on_from_where_it_was() -> None:
    told, kept = Silent(), Kept()
    ctx = context(told, kept, {"sleptSeconds": 3590})
    sleeping = asyncio.create_task(sleep(ctx, SleepPayload(seconds=3600)))
    await until(lambda: kept.saved)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    assert told.reports[0][0] == pytest.approx(100 * 3590 / 3600, abs=0.2)
    assert len(kept.saved) == 2
    assert 3590 <= kept.saved[0]["sleptSeconds"] <= kept.saved[1]["sleptSeconds"] < 3600
    done = await sleep(context(resume_from={"sleptSeconds": 3600}), SleepPayload(seconds=3600))
    assert done.slept_seconds >= 3600


@pytest.mark.parametrize(
    ("configured", "payload", "idempotent"),
    [
        ('[["df"]]', {"argv": ["df"]}, False),
        ('[{"argv": ["df"], "idempotent": true}]', {"argv": ["df", "-h"]}, True),
        ('[{"argv": ["df"], "idempotent": true}, ["git"]]', {"argv": ["df"]}, True),
        ('[{"argv": ["df"], "idempotent": true}, ["git"]]', {"argv": ["git", "push"]}, False),
        ('[{"argv": ["git", "status"], "idempotent": true}, ["git"]]', {"argv": ["git", "status"]}, True),
        ('[["git", "push"], {"argv": ["git"], "idempotent": true}]', {"argv": ["git", "push"]}, False),
        ('{"backup": {"argv": ["/b"], "idempotent": true}, "mail": ["/m"]}', {"argv": ["backup"]}, True),
        ('{"backup": {"argv": ["/b"], "idempotent": true}, "mail": ["/m"]}', {"argv": ["mail"]}, False),
        # Refused before anything runs.
        ('[["df"]]', {"argv": ["rm"]}, True),
        ('[["df"]]', {"argv": []}, True),
    ],
)
def test_a_command_may_be_repeated_where_its_entry_says_so(
    configured: str, payload: dict[str, object], idempotent: bool
) -> None:
    settings = Settings(BrokerSettings(), "a", command_allow=parse(configured))
    assert build(settings).actions["command"].may_be_repeated(payload) is idempotent


def test_what_the_built_in_actions_declare() -> None:
    allowed = parse('[{"argv": ["df"], "idempotent": true}]')
    actions = build(Settings(BrokerSettings(), "a", command_allow=allowed)).actions
    assert {n for n, a in actions.items() if a.resumable} == {"sleep"}
    assert {n for n, a in actions.items() if a.idempotent is not True} == set()
    some = parse('[{"argv": ["df"], "idempotent": true}, ["git"]]')
    assert (
        build(Settings(BrokerSettings(), "a", command_allow=some)).actions["command"].idempotent is not True
    )
