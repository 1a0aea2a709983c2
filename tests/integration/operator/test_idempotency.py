"""One idempotency key, one Task done, whether it came as a manifest or through REST."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.api import KEY, Api, running
from tests.support.keys import record, write
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes
from tests.support.release import manifest
from tests.support.tasks import all_in, statuses
from tests.support.waiting import until

KIND = "once"


@pytest.fixture
def api(kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Api]:
    file = tmp_path / "keys"
    write(file, record(KEY))
    with running(kubeconfig, namespace, file) as api:
        yield api


def dispatch(api: Api, key: str) -> dict[str, Any]:
    asked = {"agentType": KIND, "action": "note"}
    answer = api.http.post("/api/v1/dispatch", json=asked, headers={"Idempotency-Key": key})
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    return made


def keyed(name: str, key: str) -> dict[str, Any]:
    return manifest(name, KIND, "note", idempotencyKey=key)


def is_duplicate(kubectl: Kubectl, name: str) -> bool:
    status = statuses(kubectl)[name]
    return (status.get("phase"), status.get("reason")) == ("Cancelled", "Duplicate")


@pytest.mark.timeout(300)
def test_a_key_is_done_once_however_it_came(
    start: Processes, kubectl: Kubectl, api: Api, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    start.operator()

    # A manifest first: REST gives its Task.
    kubectl.apply(keyed("by-hand", "one"))
    assert api.http.get("/api/v1/status/by-hand").status_code == 200
    assert dispatch(api, "one")["taskId"] == "by-hand"

    # REST first: the manifest's Task ends, and says which one is done.
    original = dispatch(api, "two")
    # Of two that are new and from the same second, either may be the one that is done.
    until("it to wait for an agent", lambda: all_in("Queued", kubectl, [original["taskId"]]), 60)
    kubectl.apply(keyed("too-late", "two"))
    until("the duplicate to end", lambda: is_duplicate(kubectl, "too-late"), 60)
    found = statuses(kubectl)["too-late"]
    assert found["duplicateOf"] == {"name": original["taskId"], "uid": original["uid"]}
    assert found["attempt"] == 0
    assert dispatch(api, "two")["uid"] == original["uid"]

    # All at once: one of them is done.
    crowd = [f"crowd-{n}" for n in range(5)]
    kubectl.apply(*(keyed(name, "three") for name in crowd))
    until("all but one to end", lambda: sum(is_duplicate(kubectl, n) for n in crowd) == 4, 60)
    (first,) = [name for name in crowd if not is_duplicate(kubectl, name)]

    module = f"{__name__.rpartition('.')[0]}.diary:agent"
    start.agent(f"{KIND}-1", KIND, HAREBELL_AGENT_MODULE=module, DIARY=str(diary))
    done = ["by-hand", original["taskId"], first]
    until("the originals to be done", lambda: all_in("Succeeded", kubectl, done), 90)
    assert sorted(diary.read_text().split()) == sorted(done)

    # Without its original a duplicate stays as it ended; the key is free.
    kubectl("delete", "task", original["taskId"])
    kubectl.apply(keyed("again", "two"))
    until("the next to be done", lambda: all_in("Succeeded", kubectl, ["again"]), 90)
    assert is_duplicate(kubectl, "too-late")
    assert sorted(diary.read_text().split()) == sorted([*done, "again"])
