"""What keeps the keys current: a Secret that is read and watched, or a folder."""

import base64
import logging
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.keys import key, record, write

from harebell_api.key_sources import PAUSE_SECONDS, WATCH_SECONDS, KeyFolder, KeySecret, KeySourceError
from harebell_api.keyring import KeyRing
from harebell_api.kube import Object
from harebell_api.kube_errors import ApiServerError, ApiServerUnreachableError
from harebell_api.problems import ProblemError

CI, BOT = key("ci"), key("bot", "1")
DENIED = ApiServerError(403, "Forbidden", "no rights")
GONE = ApiServerError(404, "NotFound", "no such Secret")
DOWN = ApiServerUnreachableError("down")


class EndOfScriptError(Exception):
    """The source asked for more than the test has to give."""


def secret(*entries: tuple[str, bytes], version: int = 1) -> dict[str, Any]:
    data = {name: base64.b64encode(value).decode() for name, value in entries}
    return {"metadata": {"resourceVersion": str(version)}, **({"data": data} if data else {})}


@dataclass
class ScriptedSecrets:
    """Answers reads and watches in the order given. Each watch takes some seconds."""

    reads: list[dict[str, Any] | Exception]
    watches: list[list[Object]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    seconds: float = 0.0
    watch_takes: float = WATCH_SECONDS

    async def read_secret(self, name: str) -> Object:
        self.asked.append(f"read {name}")
        answer = self.reads.pop(0) if self.reads else EndOfScriptError()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watch_secret(self, name: str, version: str, seconds: int) -> AsyncGenerator[Object, None]:
        self.asked.append(f"watch {name} from {version}")
        for event in self.watches.pop(0) if self.watches else []:
            yield event
        self.seconds += self.watch_takes

    async def sleep(self, seconds: float) -> None:
        self.asked.append(f"sleep {seconds:g}")
        self.seconds += seconds


def source(secrets: ScriptedSecrets) -> tuple[KeySecret, KeyRing]:
    ring = KeyRing("work")
    return KeySecret("keys", secrets, ring, secrets.sleep, lambda: secrets.seconds), ring


def lets_in(ring: KeyRing, shown: str) -> bool:
    try:
        ring.admit(shown)
    except ProblemError:
        return False
    return True


async def test_the_secret_is_read_then_watched_and_then_read_again() -> None:
    changed = {"type": "MODIFIED", "object": secret(record(BOT), version=2)}
    secrets = ScriptedSecrets([secret(record(CI)), secret(record(CI), record(BOT), version=9)], [[changed]])
    keeping, ring = source(secrets)
    await keeping.step()
    assert (lets_in(ring, CI), lets_in(ring, BOT)) == (False, True)
    # What the watch has missed is found by the next read.
    await keeping.step()
    assert (lets_in(ring, CI), lets_in(ring, BOT)) == (True, True)
    assert secrets.asked == ["read keys", "watch keys from 1", "read keys", "watch keys from 9"]


@pytest.mark.parametrize("how", ["deleted", "missing", "empty"])
async def test_keys_that_are_gone_let_nobody_in(how: str) -> None:
    deleted = {"type": "DELETED", "object": secret(record(CI))}
    after: dict[str, dict[str, Any] | Exception] = {"deleted": GONE, "missing": GONE, "empty": secret()}
    secrets = ScriptedSecrets([secret(record(CI)), after[how]], [[deleted] if how == "deleted" else []])
    keeping, ring = source(secrets)
    await keeping.step()
    assert lets_in(ring, CI)
    await keeping.step()
    assert not lets_in(ring, CI)


async def test_what_cannot_be_read_now_leaves_the_keys_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    expired = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
    secrets = ScriptedSecrets([secret(record(CI)), DOWN, DOWN, DENIED, secret(record(BOT))], [[expired]])
    keeping, ring = source(secrets)
    with caplog.at_level(logging.WARNING), pytest.raises(EndOfScriptError):
        await keeping.run()
    pause = f"sleep {PAUSE_SECONDS:g}"
    failed = ["read keys", pause]
    watched = ["read keys", "watch keys from 1"]
    assert secrets.asked == [*watched, pause, *failed, *failed, *failed, *watched, "read keys"]
    assert (lets_in(ring, CI), lets_in(ring, BOT)) == (False, True)
    assert len(caplog.records) == 1


async def test_an_api_server_that_ends_watches_at_once_is_not_asked_all_the_time() -> None:
    secrets = ScriptedSecrets([secret(record(CI))], watch_takes=0.0)
    keeping, _ = source(secrets)
    await keeping.step()
    assert secrets.asked[-1] == f"sleep {PAUSE_SECONDS:g}"


async def test_start_up_waits_for_the_api_server() -> None:
    secrets = ScriptedSecrets([DOWN, ApiServerError(500, "InternalError", "m"), secret(record(CI))])
    keeping, ring = source(secrets)
    await keeping.load()
    assert lets_in(ring, CI)


async def test_start_up_ends_where_the_secret_may_not_be_read() -> None:
    keeping, _ = source(ScriptedSecrets([DENIED]))
    with pytest.raises(KeySourceError, match="allow get and watch"):
        await keeping.load()


def test_a_secret_that_changed_within_a_watch_is_known_within_ten_seconds() -> None:
    grace = 2
    assert WATCH_SECONDS + grace + PAUSE_SECONDS < 10


async def test_a_folder_is_read_again_and_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, ring = write(tmp_path / "keys", record(CI)), KeyRing("work")
    changes: list[Callable[[], object]] = [
        lambda: write(folder, record(CI, revoked=True), record(BOT)),
        lambda: folder.rename(tmp_path / "away"),
        lambda: None,
        lambda: write(folder, record(CI)),
    ]
    seen = []

    async def sleep(_: float) -> None:
        seen.append((lets_in(ring, CI), lets_in(ring, BOT)))
        if not changes:
            raise EndOfScriptError
        changes.pop(0)()

    keeping = KeyFolder(folder, ring, sleep)
    await keeping.load()
    with caplog.at_level(logging.WARNING), pytest.raises(EndOfScriptError):
        await keeping.run()
    assert seen == [(True, False), (False, True), (False, True), (False, True), (True, False)]
    assert len(caplog.records) == 1


def test_what_the_kubelet_puts_beside_the_entries_is_no_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    real = write(tmp_path / "..2026_01_01", record(CI))
    (tmp_path / "..data").symlink_to(real.name)
    (tmp_path / "ci").symlink_to(Path("..data") / "ci")
    ring = KeyRing("work")
    with caplog.at_level(logging.ERROR):
        KeyFolder(tmp_path, ring).read()
    assert lets_in(ring, CI)
    assert caplog.records == []


async def test_start_up_ends_without_the_folder(tmp_path: Path) -> None:
    with pytest.raises(KeySourceError, match=os.fspath(tmp_path / "none")):
        await KeyFolder(tmp_path / "none", KeyRing("work")).load()
