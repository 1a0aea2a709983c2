"""Following an object over whatever becomes of the connection."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from harebell_cli.errors import CommandError, LostError, RefusedError, TimeIsUpError, UnreachableError
from harebell_cli.resources import Found, Kind, Object
from harebell_cli.tracking import DeletedError, track
from harebell_cli.watching import WATCH_SECONDS, Deadline, follow

LOST = LostError("cut off")


def there(phase: str = "Running", version: int = 1, uid: str = "u") -> dict[str, Any]:
    metadata = {"name": "t", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase}}


def event(kind: str, *args: Any, **more: Any) -> dict[str, Any]:
    return {"type": kind, "object": there(*args, **more)}


EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}


@dataclass
class Script:
    """Answers lists and watches in the order given; a watch that is short of answers lasts its time."""

    lists: list[Any]
    watches: list[Any] = field(default_factory=list)
    now: float = 0.0
    asked: list[str] = field(default_factory=list)
    namespace: str = "work"

    def select(self, kind: Kind, *, name: str = "") -> Found:
        self.asked.append("list")
        answer = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(answer, Exception):
            raise answer
        return Found([answer] if answer else [], "5")

    def watch(self, kind: Kind, name: str, version: str, seconds: int, silence: float) -> Iterator[Object]:
        self.asked.append(f"watch {version}")
        assert silence >= min(seconds, 1)
        if not self.watches:
            self.now += seconds
            return
        for each in self.watches.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each

    def deadline(self, seconds: float | None = None) -> Deadline:
        return Deadline(seconds, lambda: self.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


def phases(
    script: Script, seconds: float | None = None, uid: str | None = None
) -> tuple[list[str | None], list[str]]:
    """Return what was yielded until the object was gone or the time over, and what was told."""
    seen: list[str | None] = []
    told: list[str] = []
    try:
        for found in follow(script, Kind.TASKS, "t", script.deadline(seconds), told.append, uid):
            seen.append(found["status"]["phase"] if found else None)
    except TimeIsUpError:
        seen.append("late")
    return seen, told


def test_changes_until_it_is_deleted() -> None:
    script = Script([there("Pending")], [[event("MODIFIED", "Queued", 6), event("DELETED", "Queued", 7)]])
    assert phases(script) == (["Pending", "Queued", None], [])
    assert script.asked == ["list", "watch 5"]


def test_a_watch_that_ends_goes_on_where_it_ended() -> None:
    script = Script(
        [there()],
        [
            [event("MODIFIED", version=6)],
            [{"type": "BOOKMARK", "object": there(version=9)}],
            [event("DELETED")],
        ],
    )
    assert phases(script)[0] == ["Running", "Running", None]
    assert script.asked == ["list", "watch 5", "watch 6", "watch 9"]


@pytest.mark.parametrize("expired", [[EXPIRED], [RefusedError("too old", 410, "Expired")]])
def test_after_410_gone_it_is_read_anew(expired: list[Any]) -> None:
    script = Script([there(), there("Failed")], [expired, [event("DELETED")]])
    assert phases(script) == (["Running", "Failed", None], [])
    assert script.asked == ["list", "watch 5", "list", "watch 5"]


def test_a_lost_connection_is_told_once_and_survived() -> None:
    script = Script([there(), LOST, LOST, there("Failed")], [[LOST], [event("DELETED")]])
    seen, told = phases(script)
    assert seen == ["Running", "Failed", None]
    assert told == ["cut off; trying again", "connected again"]


def test_it_is_asked_less_often_the_longer_the_api_server_is_away() -> None:
    script = Script([there(), LOST], [[LOST]])
    assert phases(script, seconds=600)[0] == ["Running", "late"]
    assert script.asked.count("list") < 80
    assert script.now == 600


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_api_server_that_is_busy_is_asked_again(status: int) -> None:
    script = Script([there()], [[RefusedError("busy", status)], [event("DELETED")]])
    assert phases(script)[0] == ["Running", "Running", None]


@pytest.mark.parametrize(
    "error", [UnreachableError("away"), RefusedError("busy", 503), RefusedError("no", 403)]
)
def test_who_gets_no_first_answer_is_told_at_once(error: CommandError) -> None:
    with pytest.raises(type(error)):
        phases(Script([error]))


def test_rights_that_were_taken_end_it() -> None:
    with pytest.raises(RefusedError):
        phases(Script([there()], [[RefusedError("no", 403)]]))


def test_the_deadline_is_kept_while_nothing_happens() -> None:
    script = Script([there()])
    assert phases(script, seconds=WATCH_SECONDS + 5.5)[0] == ["Running", "late"]
    assert script.now <= WATCH_SECONDS + 6.5


def test_without_time_it_is_looked_at_once() -> None:
    script = Script([there()])
    assert phases(script, seconds=0) == (["Running", "late"], [])
    assert script.asked == ["list"]


@pytest.mark.parametrize(
    "script",
    [
        Script([None]),
        Script([there(uid="other")]),
        Script([there(), None], [[LOST]]),
        Script([there(), there(uid="other")], [[LOST]]),
    ],
)
def test_another_of_the_name_is_not_it(script: Script) -> None:
    assert phases(script, uid="u")[0][-1] is None


def test_a_task_to_its_end() -> None:
    script = Script(
        [there("Queued")], [[event("MODIFIED", "Succeeded", 6), event("DELETED", "Succeeded", 7)]]
    )
    told: list[str] = []
    assert track(script, "t", script.deadline(), told.append).succeeded
    assert told == ["Queued", "Succeeded"]


def test_a_task_that_is_gone() -> None:
    script = Script([there("Queued")], [[event("DELETED", "Queued")]])
    with pytest.raises(DeletedError, match=r"deleted when it was Queued"):
        track(script, "t", script.deadline(), lambda line: None)
    with pytest.raises(DeletedError, match=r"was deleted;"):
        track(Script([None]), "t", script.deadline(), lambda line: None, uid="u")
    with pytest.raises(CommandError, match="there is no Task t in namespace work"):
        track(Script([None]), "t", script.deadline(), lambda line: None)
