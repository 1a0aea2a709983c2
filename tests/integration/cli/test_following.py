"""harebell run, follow, wait and result, to the real end of real Tasks."""

import asyncio
import json
import signal
from pathlib import Path
from typing import IO

import pytest
from tests.support.gate import gate_before
from tests.support.kubectl import Kubectl
from tests.support.tasks import all_in, statuses
from tests.support.waiting import eventually, until

from .conftest import Harebell

CREW = ("--type", "crew")


def test_the_result_alone_is_on_standard_output(harebell: Harebell) -> None:
    done = harebell("run", "tell", *CREW, "--set", "a.b=1", "--set-string", "c=2", "--label", "team=web")
    assert done.status == 0, done.err
    assert json.loads(done.out) == {"payload": {"a": {"b": 1}, "c": "2"}, "inputs": {}}
    assert done.err.splitlines()[0].startswith("task/tell-")
    assert done.err.splitlines()[-1].startswith("Succeeded after ")


def test_attempts_are_told_and_steer_no_terminal(harebell: Harebell) -> None:
    done = harebell("run", "at-last", *CREW, "--retries", "1")
    assert (done.status, done.out) == (0, "2\n")
    assert "attempt 1 on crew-1: Failed" in done.err
    assert "not \\x1b[1m yet" in done.err


def test_of_the_same_key_one_is_done_and_followed(harebell: Harebell, kubectl: Kubectl) -> None:
    once = ("run", "tell", *CREW, "--idempotency-key", "once", "--set")
    first = harebell(*once, "n=1", "--name", "first")
    again = harebell(*once, "n=2", "--name", "again")
    assert (again.status, again.out) == (first.status, first.out) == (0, first.out)
    assert "done by task/first" in again.err
    assert statuses(kubectl)["again"]["phase"] == "Cancelled"


def test_failure_is_a_status(harebell: Harebell) -> None:
    done = harebell("run", "fail", *CREW, "--name", "failed", "--quiet")
    assert (done.status, done.out) == (1, "")
    assert "Failed: Asked: as asked" in done.err
    assert harebell("follow", "task/failed").status == 1
    assert harebell("wait", "failed").out == "task/failed Failed: Asked: as asked\n"
    result = harebell("result", "failed")
    assert (result.status, result.out) == (1, "")
    why = harebell("why", "failed")
    assert why.status == 0
    assert "Asked: as asked" in why.out
    assert f"harebell replay --kubeconfig {harebell.kubeconfig} -n {harebell.namespace} failed" in why.out


def test_a_task_that_takes_its_time(harebell: Harebell, kubectl: Kubectl, tmp_path: Path) -> None:
    done = harebell("run", "hold", *CREW, "--name", "long", "--detach", "--set", f"path={tmp_path}/go")
    assert (done.status, done.out) == (0, "long\n")
    until("it to run", lambda: all_in("Running", kubectl, ["long"]), 60)
    early = harebell("result", "long")
    assert (early.status, early.out) == (2, "")
    assert "is Running" in early.err
    late = harebell("follow", "long", "--timeout", "1s")
    assert (late.status, late.out) == (124, "")
    assert "cancel it: harebell cancel" in late.err
    assert harebell("wait", "long", "failed-too", "--timeout", "0s").status == 2  # there is no failed-too
    assert harebell("wait", "long", "--timeout", "0s").status == 124

    follower = harebell.start("follow", "long")
    assert follower.stdout is not None
    assert follower.stderr is not None
    _read_until(follower.stderr, "Running: attempt 1 on crew-1")
    follower.send_signal(signal.SIGINT)
    out, err = follower.communicate(timeout=30)
    assert (follower.returncode, out) == (130, "")
    assert "task/long goes on" in err
    assert "Traceback" not in err
    assert statuses(kubectl)["long"]["phase"] == "Running"

    (tmp_path / "go").touch()
    assert harebell("follow", "long", "--quiet").out == '"held"\n'
    assert json.loads(harebell("follow", "long", "-o", "json").out)["status"]["phase"] == "Succeeded"
    assert harebell("result", "long").out == '"held"\n'


def _read_until(stream: IO[str], words: str) -> None:
    """Read lines until one has these words, which the test's own time limits."""
    while words not in (line := stream.readline()):
        assert line, f"it ended without saying: {words}"


def test_one_that_is_deleted_is_not_waited_for(harebell: Harebell, kubectl: Kubectl) -> None:
    harebell("run", "tell", *CREW, "--name", "doomed", "--depends-on", "nothing", "--detach")
    with harebell.beside("follow", "doomed", "--timeout", "90s") as (call, ended):
        until("it to be followed", lambda: call.says("DependencyMissing"), 60)
        kubectl("delete", "task", "doomed")
        ended.result(timeout=30)
    assert call.status == 1
    assert call.says("task/doomed was deleted when it was Pending")


async def test_a_lost_connection_is_survived(harebell: Harebell, kubeconfig: Path, tmp_path: Path) -> None:
    payload = ("--set", f"path={tmp_path}/go")
    await asyncio.to_thread(harebell, "run", "hold", *CREW, "--name", "cut", "--detach", *payload)
    async with gate_before(kubeconfig, tmp_path) as (gate, through):
        following = Harebell(harebell.namespace, through).beside("follow", "cut", "--timeout", "90s")
        call, ended = following.__enter__()
        try:
            await eventually("it to be followed", lambda: _said(call.says("Running: attempt 1")))
            gate.shut()
            await eventually("it to be noticed", lambda: _said(call.says("trying again")))
            (tmp_path / "go").touch()
            gate.open()
            await asyncio.wrap_future(ended)
        finally:
            gate.shut()
            await asyncio.to_thread(following.__exit__, None, None, None)
    assert (call.status, call.out.getvalue()) == (0, '"held"\n')
    assert call.says("connected again")


async def _said(said: bool) -> bool:
    return said


@pytest.mark.parametrize("command", ["follow", "wait", "result", "why", "cancel", "replay"])
def test_what_does_not_exist(harebell: Harebell, command: str) -> None:
    done = harebell(command, "nobody")
    assert (done.status, done.out) == (2, "")
    assert f"there is no Task nobody in namespace {harebell.namespace}" in done.err


def test_what_the_api_server_refuses(harebell: Harebell) -> None:
    refused = harebell("run", "Echo!", *CREW, "-d")
    assert refused.status == 2
    assert "spec.action" in refused.err
    harebell("run", "tell", *CREW, "--name", "taken", "-d")
    assert "already; choose another name" in harebell("run", "tell", *CREW, "--name", "taken").err
    assert "harebell is not" not in harebell("agents").err
    elsewhere = Harebell("nowhere", harebell.kubeconfig)
    assert "there is no namespace nowhere" in elsewhere("run", "tell", *CREW).err


def test_a_dry_run_of_the_server_checks_and_makes_nothing(harebell: Harebell, kubectl: Kubectl) -> None:
    tried = harebell("run", "tell", *CREW, "--name", "dry", "--dry-run=server", "-o", "json")
    assert json.loads(tried.out)["spec"]["priority"] == "normal"  # what the schema adds
    assert harebell("run", "tell", *CREW, "--name", "dry", "--dry-run=server", "--retries", "101").status == 2
    assert "dry" not in statuses(kubectl)
