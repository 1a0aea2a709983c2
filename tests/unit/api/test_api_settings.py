import logging
from pathlib import Path

import pytest

from harebell_api.settings import Settings, SettingsError

NEEDED = {"HAREBELL_API_KEY_SECRET": "keys", "HAREBELL_NAMESPACE": "work"}


def test_defaults(tmp_path: Path) -> None:
    found = Settings.from_environment(NEEDED, tmp_path / "none")
    assert found == Settings("work", "keys", None, None, "0.0.0.0", 8080, logging.INFO)


def test_ping_seconds(tmp_path: Path) -> None:
    for text, seconds in (("", 20.0), ("1", 1.0), ("12.5", 12.5)):
        given = {**NEEDED, "HAREBELL_PING_SECONDS": text}
        assert Settings.from_environment(given, tmp_path / "none").ping_seconds == seconds


@pytest.mark.parametrize(
    ("environment", "namespace"),
    [
        ({"HAREBELL_NAMESPACE": "a", "POD_NAMESPACE": "b"}, "a"),
        ({"POD_NAMESPACE": "b"}, "b"),
        ({"HAREBELL_NAMESPACE": ""}, "from-file"),
        ({}, "from-file"),
    ],
)
def test_namespace(tmp_path: Path, environment: dict[str, str], namespace: str) -> None:
    file = tmp_path / "namespace"
    file.write_text("from-file\n")
    given = {"HAREBELL_API_KEY_SECRET": "keys", **environment}
    assert Settings.from_environment(given, file).namespace == namespace


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"HAREBELL_API_KEY_SECRET": ""}, "HAREBELL_API_KEY_SECRET"),
        ({"HAREBELL_API_KEY_SECRET": "", "HAREBELL_API_KEY_FILE": "/keys"}, "nobody could be let in"),
        ({"HAREBELL_API_KEY_SECRET": "", "HAREBELL_KUBERNETES_TOKENS": "false"}, "nobody could be let in"),
        ({"HAREBELL_API_KEY_DIR": "/keys"}, "not both"),
        ({"HAREBELL_KUBERNETES_TOKENS": "yes"}, "HAREBELL_KUBERNETES_TOKENS"),
        ({"HAREBELL_NAMESPACE": ""}, "HAREBELL_NAMESPACE"),
        ({"HAREBELL_PORT": "http"}, "HAREBELL_PORT"),
        ({"HAREBELL_PORT": "65536"}, "HAREBELL_PORT"),
        ({"HAREBELL_PORT": "-1"}, "HAREBELL_PORT"),
        ({"HAREBELL_LOG_LEVEL": "loud"}, "HAREBELL_LOG_LEVEL"),
        ({"HAREBELL_PING_SECONDS": "often"}, "HAREBELL_PING_SECONDS"),
        ({"HAREBELL_PING_SECONDS": "0"}, "HAREBELL_PING_SECONDS"),
        ({"HAREBELL_PING_SECONDS": "60"}, "HAREBELL_PING_SECONDS"),
        ({"HAREBELL_PING_SECONDS": "nan"}, "HAREBELL_PING_SECONDS"),
        (
            {"HAREBELL_ARCHIVE_URL": "postgresql://", "HAREBELL_ARCHIVE_URL_FILE": "/f"},
            "HAREBELL_ARCHIVE_URL",
        ),
    ],
)
def test_an_error_names_the_setting(tmp_path: Path, changed: dict[str, str], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        Settings.from_environment({**NEEDED, **changed}, tmp_path / "none")


@pytest.mark.parametrize(
    ("environment", "secret", "folder", "audience"),
    [
        ({"HAREBELL_API_KEY_SECRET": "s"}, "s", None, None),
        ({"HAREBELL_API_KEY_DIR": "/keys"}, None, Path("/keys"), None),
        ({"HAREBELL_KUBERNETES_TOKENS": "true"}, None, None, "harebell"),
        ({"HAREBELL_KUBERNETES_TOKENS": "True", "HAREBELL_TOKEN_AUDIENCE": "bell"}, None, None, "bell"),
        ({"HAREBELL_API_KEY_SECRET": "s", "HAREBELL_TOKEN_AUDIENCE": "bell"}, "s", None, None),
    ],
)
def test_who_is_let_in(
    environment: dict[str, str], secret: str | None, folder: Path | None, audience: str | None
) -> None:
    found = Settings.from_environment({"HAREBELL_NAMESPACE": "work", **environment})
    assert (found.key_secret, found.key_folder, found.token_audience) == (secret, folder, audience)


@pytest.mark.parametrize("level", ["DEBUG", "debug", "Debug"])
def test_level_in_any_case(tmp_path: Path, level: str) -> None:
    given = {**NEEDED, "HAREBELL_LOG_LEVEL": level}
    assert Settings.from_environment(given, tmp_path).log_level == logging.DEBUG


def test_where_the_archive_is(tmp_path: Path) -> None:
    assert Settings.from_environment(NEEDED).archive is None
    literal = Settings.from_environment({**NEEDED, "HAREBELL_ARCHIVE_URL": "postgresql://u:hunter2@h/d"})
    assert literal.archive is not None
    assert literal.archive.url() == "postgresql://u:hunter2@h/d"
    assert "hunter2" not in repr(literal)
    file = tmp_path / "url"
    of_file = Settings.from_environment({**NEEDED, "HAREBELL_ARCHIVE_URL_FILE": str(file)})
    assert of_file.archive is not None
    for text in ("postgresql://one", "postgresql://two\n"):
        file.write_text(text)
        assert of_file.archive.url() == text.strip()
