"""What the environment may say, and how wrong settings are told."""

import subprocess
import sys
from pathlib import Path

import pytest

from harebell_agent.actions.allow import AllowList, parse
from harebell_agent.errors import SettingsError
from harebell_agent.settings import from_environment

URL = {"HAREBELL_AMQP_URL": "amqp://agent:hunter2@rabbit:5672/"}


def test_defaults() -> None:
    settings = from_environment({**URL, "POD_NAME": "text-0"})
    assert settings.agent_id == "text-0"
    assert settings.agent_type is None
    assert (settings.concurrency, settings.drain_seconds, settings.port) == (1, 20.0, 9091)
    assert settings.log_level == "INFO"
    assert settings.pod is None
    assert not settings.command_allow
    assert settings.module == "harebell_agent.builtin:build"


def test_everything() -> None:
    settings = from_environment(
        {
            **URL,
            "HAREBELL_AGENT_ID": "text.team-a",
            "HAREBELL_AGENT_TYPE": "text",
            "POD_NAME": "text-0",
            "POD_NAMESPACE": "team-a",
            "POD_UID": "1-2",
            "NODE_NAME": "node-3",
            "HAREBELL_AGENT_CONCURRENCY": "4",
            "HAREBELL_DRAIN_SECONDS": "2.5",
            "HAREBELL_LOG_LEVEL": "debug",
            "HAREBELL_PORT": "0",
            "HAREBELL_AGENT_MODULE": "mine:agent",
            "HAREBELL_COMMAND_ALLOW": '[["df"]]',
        }
    )
    assert (settings.agent_id, settings.agent_type, settings.module) == ("text.team-a", "text", "mine:agent")
    assert settings.pod is not None
    assert (settings.pod.name, settings.pod.node_name) == ("text-0", "node-3")
    assert (settings.concurrency, settings.drain_seconds, settings.port) == (4, 2.5, 0)
    assert settings.log_level == "DEBUG"
    assert settings.command_allow == AllowList(prefixes=(("df",),))


def test_the_command_line_wins() -> None:
    settings = from_environment(
        {**URL, "HAREBELL_AGENT_TYPE": "a"}, {"HAREBELL_AGENT_TYPE": "b", "HAREBELL_AGENT_ID": None}
    )
    assert settings.agent_type == "b"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HAREBELL_AGENT_ID", "Text_1", "HAREBELL_AGENT_ID: 'Text_1' cannot be an agent's id"),
        ("HAREBELL_AGENT_ID", "a..b", "HAREBELL_AGENT_ID"),
        ("HAREBELL_AGENT_ID", "a" * 254, "HAREBELL_AGENT_ID"),
        ("POD_NAME", "-a", "POD_NAME: '-a'"),
        ("HAREBELL_AGENT_TYPE", "a.b", "HAREBELL_AGENT_TYPE: 'a.b' cannot be an agent type"),
        ("HAREBELL_AGENT_CONCURRENCY", "0", "HAREBELL_AGENT_CONCURRENCY: must be a whole number from 1"),
        ("HAREBELL_AGENT_CONCURRENCY", "two", "HAREBELL_AGENT_CONCURRENCY"),
        ("HAREBELL_DRAIN_SECONDS", "-1", "HAREBELL_DRAIN_SECONDS: must be a number of seconds"),
        ("HAREBELL_DRAIN_SECONDS", "nan", "HAREBELL_DRAIN_SECONDS"),
        ("HAREBELL_PORT", "65536", "HAREBELL_PORT: must be a whole number from 0 to 65535"),
        ("HAREBELL_LOG_LEVEL", "LOUD", "HAREBELL_LOG_LEVEL: must be DEBUG"),
        ("HAREBELL_COMMAND_ALLOW", "ls", "HAREBELL_COMMAND_ALLOW: must be a JSON list"),
        ("HAREBELL_COMMAND_ALLOW", '[{"argv": []}]', "HAREBELL_COMMAND_ALLOW: a command must have"),
        ("HAREBELL_COMMAND_ALLOW", '[{"argv": ["df"], "again": true}]', "HAREBELL_COMMAND_ALLOW: must be"),
        ("HAREBELL_COMMAND_ALLOW", "[[]]", "HAREBELL_COMMAND_ALLOW: a command must have"),
        ("HAREBELL_AMQP_URL", "", "set exactly one of HAREBELL_AMQP_URL"),
        ("HAREBELL_AMQP_URL", "http://u:hunter2@x/", "HAREBELL_AMQP_URL: the URL must be amqp://"),
        ("HAREBELL_AMQP_URL", "amqp://u:hunter2@x:port/", "HAREBELL_AMQP_URL: the URL must be amqp://"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        from_environment({**URL, "POD_NAME": "a", name: value})
    assert says in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        from_environment({"POD_NAME": "a", "HAREBELL_PORT": "x", "HAREBELL_LOG_LEVEL": "x"})
    assert all(n in str(raised.value) for n in ("HAREBELL_PORT", "HAREBELL_LOG_LEVEL", "HAREBELL_AMQP_URL"))


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(from_environment({**URL, "POD_NAME": "a"}))


@pytest.mark.parametrize(
    ("configured", "asked", "runs"),
    [
        ("", ["ls"], None),
        ("[]", ["ls"], None),
        ('[["git", "status"], ["df"]]', ["git", "status", "-s"], ("git", "status", "-s")),
        ('[["git", "status"], ["df"]]', ["git", "push"], None),
        ('[["git", "status"], ["df"]]', ["git"], None),
        ('[["git", "status"], ["df"]]', ["df"], ("df",)),
        ('[["df"], {"argv": ["git"], "idempotent": true}]', ["git", "log"], ("git", "log")),
        ('{"backup": {"argv": ["/b"]}}', ["backup"], ("/b",)),
        ('{"backup": ["/usr/bin/backup", "--all"]}', ["backup"], ("/usr/bin/backup", "--all")),
        ('{"backup": ["/usr/bin/backup", "--all"]}', ["backup", "--target=/"], None),
        ('{"backup": ["/usr/bin/backup", "--all"]}', ["/usr/bin/backup", "--all"], None),
    ],
)
def test_only_what_is_allowed_runs(configured: str, asked: list[str], runs: tuple[str, ...] | None) -> None:
    assert parse(configured).resolve(asked) == runs


AGENT = """
from harebell_agent import Agent
agent = Agent()
text = "no agent"
@agent.action("x")
async def x(ctx): ...
"""
ODD_TYPE = """
from harebell_agent import Agent
agent = Agent(type="My_Type")
@agent.action("x")
async def x(ctx): ...
"""
BARE = """
from harebell_agent import Agent
agent = Agent()
@agent.action
async def x(ctx): ...
"""
BROKEN = """
import os
from harebell_agent import Agent
agent = Agent()
os.no_such_thing
"""


@pytest.mark.parametrize(
    ("module", "kind", "says"),
    [
        ("mine:agent", "", "the agent has no type"),
        ("mine:text", "t", "is not an Agent"),
        ("mine:nothing", "t", "names no attribute"),
        ("mine", "t", "names no attribute"),
        (":agent", "t", "names no attribute"),
        ("mine:", "t", "names no attribute"),
        (".mine:agent", "t", "names no attribute"),
        ("missing.module:agent", "t", "there is no module 'missing.module'"),
        ("odd_type:agent", "", "Agent(type=...): 'My_Type' cannot be an agent type"),
        ("bare:agent", "t", 'write @agent.action("name")'),
    ],
)
def test_an_agent_that_cannot_be_run_ends_with_words(
    tmp_path: Path, module: str, kind: str, says: str
) -> None:
    ended = run(tmp_path, module, kind)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_wrong_in_the_module_itself_is_told_with_its_traceback(tmp_path: Path) -> None:
    ended = run(tmp_path, "broken:agent", "t")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "module 'os' has no attribute 'no_such_thing'" in ended.stderr


def run(folder: Path, module: str, kind: str) -> subprocess.CompletedProcess[str]:
    """Run an agent that ends by itself."""
    for name, text in {"mine": AGENT, "odd_type": ODD_TYPE, "bare": BARE, "broken": BROKEN}.items():
        (folder / f"{name}.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "harebell_agent", "--module", module, "--type", kind, "--id", "a"],
        env=URL,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
