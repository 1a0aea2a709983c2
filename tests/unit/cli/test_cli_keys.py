"""harebell keys: what is written, what is printed, and what is said when it does not work."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.keys import key, record

from harebell_cli import keys_command as command
from harebell_cli.connection import Answer, Connection
from harebell_cli.durations import parse_duration
from harebell_cli.errors import CommandError
from harebell_cli.keys_command import secret_name
from harebell_cli.main import main
from harebell_cli.secret import KeySecret
from harebell_crds.keys import KeyState, Scope, id_of, parse_record

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@dataclass
class FakeCluster(Connection):
    """One Secret, and what was done with it."""

    entries: dict[str, bytes] = field(default_factory=dict)
    version: int = 1
    answers: list[tuple[int, str]] = field(default_factory=list)
    """Given to the next calls instead."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    namespace: str = "work"

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *more: Any, **named: Any
    ) -> Answer:
        self.calls.append((method, path))
        if self.answers:
            status, message = self.answers.pop(0)
            return Answer(status, {"message": message})
        if body is not None:
            wanted = body.get("metadata", {}).get("resourceVersion")
            if wanted not in (None, str(self.version)):
                return Answer(409, {"message": "the object has been modified"})
            self.entries |= {name: base64.b64decode(value) for name, value in body["data"].items()}
            self.version += 1
        data = {name: base64.b64encode(value).decode() for name, value in self.entries.items()}
        return Answer(200, {"metadata": {"resourceVersion": str(self.version)}, "data": data})


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_now", lambda: NOW)


def run(cluster: FakeCluster, *arguments: str) -> int:
    return main(["keys", *arguments], lambda *_: cluster)


def test_a_key_is_printed_once_and_its_record_kept(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.entries = dict([record(key("old"))])
    limits = ["--namespace-limit", "work", "--agent-type", "text", "--agent-type", "infra"]
    done = run(
        cluster,
        "create",
        "--name",
        "ci",
        "--scope",
        "read",
        "--scope",
        "dispatch",
        *limits,
        "--expires",
        "30d",
    )
    assert done == 0
    printed = capsys.readouterr()
    made = printed.out.strip()
    key_id = id_of(made)
    assert key_id is not None
    assert set(cluster.entries) == {"old", key_id}
    kept = parse_record(key_id, cluster.entries[key_id])
    assert kept.is_of(made)
    assert made.rpartition("_")[2] not in printed.err + cluster.entries[key_id].decode()
    assert (kept.name, kept.scopes) == ("ci", frozenset({Scope.READ, Scope.DISPATCH}))
    assert (kept.namespaces, kept.agent_types) == (frozenset({"work"}), frozenset({"text", "infra"}))
    assert (kept.created_at, kept.expires_at) == (NOW, NOW + timedelta(days=30))
    assert "until 2026-05-31T00:00:00Z" in printed.err
    # One entry is patched, and what else is there is not even read.
    assert cluster.calls == [("PATCH", "/api/v1/namespaces/work/secrets/harebell-api-keys")]


def test_without_limits_a_key_is_for_everything(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(cluster, "create", "--name", "ci", "--scope", "admin") == 0
    ((name, entry),) = cluster.entries.items()
    kept = parse_record(name, entry)
    assert (kept.namespaces, kept.agent_types, kept.expires_at) == (None, None, None)
    assert "until it is revoked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ([], "work/secrets/harebell-api-keys"),
        (["-n", "agents"], "agents/secrets/harebell-api-keys"),
        (["--namespace", "agents", "--release", "bell"], "agents/secrets/bell-harebell-api-keys"),
        (["--secret", "my-keys"], "work/secrets/my-keys"),
    ],
)
def test_which_secret(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], arguments: list[str], path: str
) -> None:
    run(cluster, "list", *arguments)
    assert capsys.readouterr().out.startswith("ID")
    assert cluster.calls == [("GET", f"/api/v1/namespaces/{path}")]


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("harebell", "harebell-api-keys"),
        ("my-harebell-2", "my-harebell-2-api-keys"),
        ("bell", "bell-harebell-api-keys"),
        ("b.c", "b-c-harebell-api-keys"),
        ("x" * 53, "x" * 40 + "-api-keys"),
        ("x" * 39, "x" * 39 + "-api-keys"),
    ],
)
def test_the_name_is_the_one_that_the_chart_makes(release: str, name: str) -> None:
    assert secret_name(release) == name


LISTED = dict(
    [
        record(key("b1"), Scope.READ, name="web", expires_at=NOW),
        record(key("b2"), Scope.READ, Scope.CANCEL, name="web", agent_types=["text"], namespaces=["work"]),
        record(key("a1"), name="bot", revoked=True),
        ("old", b"plain:text"),
    ]
)


def test_a_list_for_people(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.entries = LISTED
    assert run(cluster, "list") == 0
    printed = capsys.readouterr()
    assert [line.split() for line in printed.out.splitlines()] == [
        ["ID", "NAME", "SCOPES", "AGENT-TYPES", "NAMESPACES", "CREATED", "EXPIRES", "STATE"],
        ["a1", "bot", "admin", "-", "-", "2026-01-01T00:00:00Z", "-", "Revoked"],
        ["b1", "web", "read", "-", "-", "2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z", "Expired"],
        ["b2", "web", "cancel,read", "text", "work", "2026-01-01T00:00:00Z", "-", "Active"],
        ["old", "-", "-", "-", "-", "-", "-", "Invalid"],
    ]
    assert "entry old is no key" in printed.err
    assert "plain:text" not in printed.err


def test_a_list_for_programs(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.entries = LISTED
    assert run(cluster, "list", "-o", "json") == 0
    text = capsys.readouterr().out
    assert [(each["id"], each["state"]) for each in json.loads(text)] == [
        ("a1", "Revoked"),
        ("b1", "Expired"),
        ("b2", "Active"),
        ("old", "Invalid"),
    ]
    assert "sha256" not in text


def states(cluster: FakeCluster) -> dict[str, KeyState]:
    return {name: parse_record(name, entry).state(NOW) for name, entry in cluster.entries.items()}


@pytest.mark.parametrize("named", ["a1", "bot"])
def test_revoking_by_id_or_name(cluster: FakeCluster, capsys: pytest.CaptureFixture[str], named: str) -> None:
    cluster.entries = dict([record(key("a1"), name="bot"), record(key("b1"), name="web")])
    before = json.loads(cluster.entries["a1"])
    assert run(cluster, "revoke", named) == 0
    assert states(cluster) == {"a1": KeyState.REVOKED, "b1": KeyState.ACTIVE}
    assert json.loads(cluster.entries["a1"]) == {**before, "revoked": True}
    assert capsys.readouterr().out == "key a1 of bot is revoked\n"
    assert run(cluster, "revoke", named) == 0
    assert capsys.readouterr().out == "key a1 of bot is revoked\n"  # it stays so


def test_a_name_with_several_keys_has_to_be_meant(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.entries = dict(record(key(each), name="web") for each in ("w1", "w2", "w3"))
    assert run(cluster, "revoke", "w3") == 0
    assert run(cluster, "revoke", "web") == 1
    assert "name one by its id (w1, w2), or add --all" in capsys.readouterr().err
    assert run(cluster, "revoke", "web", "--all") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert set(states(cluster).values()) == {KeyState.REVOKED}


def test_a_revocation_is_of_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    class Changing(FakeCluster):
        def call(
            self, method: str, path: str, body: Mapping[str, Any] | None = None, *more: Any, **named: Any
        ) -> Answer:
            answer = super().call(method, path, body)
            if method == "GET" and self.version == 1:
                self.version = 2  # somebody else was quicker
            return answer

    changing = Changing(dict([record(key("a1"))]))
    assert run(changing, "revoke", "a1") == 0
    assert capsys.readouterr().out == "key a1 of a1 is revoked\n"
    assert [method for method, _ in changing.calls] == ["GET", "PATCH", "GET", "PATCH"]
    assert states(changing) == {"a1": KeyState.REVOKED}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            (404, "not found"),
            "there is no Secret harebell-api-keys in namespace work. Name the namespace with -n",
        ),
        ((403, "forbidden"), "you may not change Secret harebell-api-keys in namespace work: forbidden"),
        ((422, "too large"), "cannot change Secret harebell-api-keys in namespace work: too large"),
        ((500, ""), "status 500"),
    ],
)
def test_what_the_api_server_refuses(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], answer: tuple[int, str], said: str
) -> None:
    cluster.answers = [answer]
    assert run(cluster, "create", "--name", "ci", "--scope", "read") == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""  # no key that was not kept


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "--name", "a b", "--scope", "read"], "name"),
        (["create", "--name", "ci", "--scope", "read", "--agent-type", "Text"], "agentTypes"),
        (["revoke", "unknown"], "no key with the id or the name unknown"),
    ],
)
def test_values_that_cannot_be_used(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(cluster, *arguments) == 1
    assert said in capsys.readouterr().err
    assert cluster.entries == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["keys"], "COMMAND"),
        (["keys", "create", "--name", "ci"], "--scope"),
        (["keys", "create", "--scope", "read"], "--name"),
        (["keys", "create", "--name", "ci", "--scope", "write"], "choose from"),
        (["keys", "create", "--name", "ci", "--scope", "read", "--expires", "soon"], "30d"),
        (["keys", "list", "--release", "a", "--secret", "b"], "not allowed with"),
    ],
)
def test_a_wrong_command_line(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("1h30m5s", timedelta(hours=1, minutes=30, seconds=5)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "30", "d", "0d", "-1d", "1.5d", "30 d", "3651d", "9999999d", "1y", "1h 30m"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|days"):
        parse_duration(text)


def test_a_cluster_that_is_away_is_said_in_one_line(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config"
    file.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {"token": "in confidence"}}],
            }
        )
    )
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    assert main(["keys", "list"]) == 1
    printed = capsys.readouterr().err
    assert "the Kubernetes API server cannot be reached" in printed
    assert "in confidence" not in printed


def test_no_cluster_at_all(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["keys", "list"]) == 1
    assert "no cluster to talk to" in capsys.readouterr().err


def test_a_secret_that_is_no_json_is_not_taken_for_one(cluster: FakeCluster) -> None:
    cluster.answers = [(502, "")]
    with pytest.raises(CommandError, match="502"):
        KeySecret(cluster, "work", "keys").read()
