"""harebell run and announce: from a command line to a manifest."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from harebell_cli.announcing import announcement_manifest
from harebell_cli.connection import Answer, Connection
from harebell_cli.errors import UnreachableError
from harebell_cli.main import main
from harebell_cli.parser import PRIORITIES, root
from harebell_cli.run import task_manifest
from harebell_crds.announcement import AnnouncementSpec
from harebell_crds.task import OnInterruption, Priority, TaskSpec

from .objects import NOW


def made(*arguments: str, payload: str | None = None) -> dict[str, Any]:
    return task_manifest(root().parse_args(["run", *arguments]), payload)


def test_nothing_is_said_that_was_not_asked_for() -> None:
    assert made("text.stats", "--type", "text") == {
        "apiVersion": "harebell.dev/v1alpha1",
        "kind": "Task",
        "metadata": {"generateName": "text-stats-"},
        "spec": {"agentType": "text", "action": "text.stats", "payload": {}},
    }


def test_everything_that_can_be_asked_for() -> None:
    line = (
        "deploy --type infra --name tasks.harebell.dev/d1 -l team=web --label x=a=b --set n=1"
        " --set-string s=1 --set n=2 --priority high --retries 0 --deadline 5m --queue-deadline 1h30m"
        " --ttl 2d --on-interruption Fail --idempotency-key k"
        " --suspend --depends-on task/a --depends-on b=Finished"
    )
    manifest = made(*line.split(), payload='{"k": true, "n": 0}')
    assert manifest["metadata"] == {"name": "d1", "labels": {"team": "web", "x": "a=b"}}
    assert manifest["spec"] == {
        "agentType": "infra",
        "action": "deploy",
        "payload": {"k": True, "n": 2, "s": "1"},
        "priority": "high",
        "retryPolicy": {"maxRetries": 0},
        "activeDeadlineSeconds": 300,
        "queueDeadlineSeconds": 5400,
        "ttlSecondsAfterFinished": 172800,
        "onInterruption": "Fail",
        "dependsOn": [{"name": "a"}, {"name": "b", "condition": "Finished"}],
        "idempotencyKey": "k",
        "suspend": True,
    }
    # Every member is one that the contract knows, and of the right kind.
    assert manifest["spec"].keys() <= TaskSpec.model_validate(manifest["spec"]).to_wire().keys()


@pytest.mark.parametrize(
    ("action", "prefix"),
    [("echo", "echo-"), ("Http_Probe.x", "http-probe-x-"), ("a" * 128, "a" * 50 + "-"), ("?", "task-")],
)
def test_generated_names(action: str, prefix: str) -> None:
    assert made(action, "--type", "t")["metadata"] == {"generateName": prefix}


def test_the_choices_are_those_of_the_contract() -> None:
    assert list(PRIORITIES) == [each.value for each in Priority]
    for each in OnInterruption:
        assert made("echo", "--type", "t", "--on-interruption", each.value)["spec"]["onInterruption"] == each


def test_options_may_stand_anywhere() -> None:
    asked = root().parse_args(
        ["-n", "work", "priority", "a", "--context", "c", "b", "--dry-run=server", "high"]
    )
    assert (asked.namespace, asked.context, asked.names, asked.level) == ("work", "c", ["a", "b"], "high")
    assert root().parse_args(["cancel", "-n", "here", "a"]).namespace == "here"


@pytest.mark.parametrize("source", ["file", "-"])
def test_a_dry_run_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    text = json.dumps({"a": "ü"})
    (tmp_path / "file").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    arguments = ["run", "echo", "--type", "t", "--payload-file", source, "--dry-run=client", "-o", "yaml"]
    assert main(arguments, _nobody) == 0
    assert yaml.safe_load(capsys.readouterr().out)["spec"]["payload"] == {"a": "ü"}


def _nobody(*_: object) -> Connection:
    raise AssertionError("nobody was to be asked")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "echo"], "--type"),
        (["run", "--type", "t"], "ACTION"),
        (["run", "echo", "--type", "t", "--priority", "urgent"], "choose from"),
        (["run", "echo", "--type", "t", "--retries", "-1"], "no number"),
        (["run", "echo", "--type", "t", "--deadline", "5"], "30d"),
        (["run", "echo", "--type", "t", "--deadline", "0s"], "no duration"),
        (["run", "echo", "--type", "t", "--label", "team"], "KEY=VALUE"),
        (["run", "echo", "--type", "t", "--payload", "{}", "--payload-file", "-"], "not allowed with"),
        (["run", "echo", "more", "--type", "t"], "unrecognized arguments: more"),
        (["priority", "t", "urgent"], "choose from"),
        (["announce", "shout", "-m", "x"], "quota-alert"),
        (["follow", "task/"], "no name"),
        (["nonsense"], "choose from"),
    ],
)
def test_wrong_command_lines(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments, _nobody)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--payload", "["], "the payload is no JSON"),
        (["--set", "a"], "PATH=VALUE"),
        (["--payload-file", "/nowhere"], "the payload cannot be read"),
        (["--payload-file", "/"], "the payload cannot be read"),
    ],
)
def test_payloads_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["run", "echo", "--type", "t", *arguments], _nobody) == 2
    assert said in capsys.readouterr().err


class Away(Connection):
    """An API server whose answer was lost."""

    def __init__(self) -> None:
        self.namespace = "work"

    def call(self, *_: Any, **__: Any) -> Answer:
        raise UnreachableError("cannot be reached")


@pytest.mark.parametrize(
    ("name", "said"),
    [([], "kubectl get tasks tells"), (["--name", "t 1"], "harebell follow -n 'a b' 't 1' tells")],
)
def test_whether_it_was_made_is_not_known_when_the_answer_is_lost(
    capsys: pytest.CaptureFixture[str], name: list[str], said: str
) -> None:
    assert main(["run", "echo", "--type", "t", "-n", "a b", *name], lambda *_: Away()) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""


def test_announcements() -> None:
    asked = root().parse_args(
        [
            *(
                "announce",
                "Quota-Alert",
                "-m",
                "90 %",
                "--expires",
                "2h",
                "--type",
                "text",
                "--type",
                "infra",
            ),
            *("--agent", "agent.harebell.dev/a", "-l", "team=web, zone=a"),
        ]
    )
    manifest = announcement_manifest(asked, NOW)
    assert manifest["metadata"] == {"generateName": "quotaalert-"}
    assert manifest["spec"] == {
        "kind": "QuotaAlert",
        "message": "90 %",
        "agentSelector": {
            "types": ["text", "infra"],
            "names": ["a"],
            "matchLabels": {"team": "web", "zone": "a"},
        },
        "expiresAt": "2026-05-01T14:00:00Z",
    }
    spec = AnnouncementSpec.model_validate(manifest["spec"])
    assert spec.expires_at == NOW + timedelta(hours=2)
    everyone = announcement_manifest(root().parse_args(["announce", "pause", "-m", "x", "--name", "p"]), NOW)
    assert (everyone["metadata"], everyone["spec"]["agentSelector"]) == ({"name": "p"}, {})
