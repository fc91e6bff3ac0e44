"""Settings come from the environment and from `.env`; an error names a wrong setting and never shows its value."""

from pathlib import Path

import pytest

from core.engine import open_engine
from core.errors import SettingsError
from core.settings import SECRETS, Settings, load_settings, secret_sources
from tests.core.databases import furnish

NAMES = [name for name in Settings.model_fields if name != "iterable_api_key"]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without any of our settings, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ITERABLE_API_KEY", raising=False)
    for name in NAMES:
        monkeypatch.delenv(f"ITERABLE_SYNC_{name.upper()}", raising=False)


def test_defaults(tmp_path: Path) -> None:
    """Without settings, the data is in SQLite below `./data`, and there is no key."""
    settings = load_settings()
    assert settings.resolved_database_url == f"sqlite:///{tmp_path}/data/iterable-sync.sqlite"
    assert (settings.iterable_api_key, settings.iterable_url, settings.secret_key) == (None, None, None)
    assert settings.worker_id


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting comes from the variable with its name."""
    monkeypatch.setenv("ITERABLE_API_KEY", "the-key")
    monkeypatch.setenv("ITERABLE_SYNC_ITERABLE_URL", "http://localhost:8090/")
    monkeypatch.setenv("ITERABLE_SYNC_DATA_DIR", "elsewhere")
    monkeypatch.setenv("ITERABLE_SYNC_DATABASE_URL", "postgresql://user:password@db/sync")
    monkeypatch.setenv("ITERABLE_SYNC_WORKER_ID", "worker-7")
    settings = load_settings()
    assert settings.iterable_api_key is not None
    assert settings.iterable_api_key.get_secret_value() == "the-key"
    assert settings.iterable_url == "http://localhost:8090"
    assert settings.data_dir == Path("elsewhere")
    assert settings.resolved_database_url == "postgresql://user:password@db/sync"
    assert settings.worker_id == "worker-7"


@pytest.mark.parametrize("name", ["a?b", "100%", "%41", "#1", "a b", "data.sqlite", "it's", "a+b", "ä", "*"])
async def test_data_directory_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The program keeps its files in the data directory, whatever its name."""
    directory = tmp_path / name
    monkeypatch.setenv("ITERABLE_SYNC_DATA_DIR", str(directory))
    furnish(load_settings())
    async with open_engine(load_settings(), "test"):
        pass
    assert _names(tmp_path) == {name}
    assert "iterable-sync.sqlite" in _names(directory)


def _names(directory: Path) -> set[str]:
    return {each.name for each in directory.iterdir()}


def test_data_directory_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~ in `.env`, which no shell expands, is the home directory."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("ITERABLE_SYNC_DATA_DIR", "~/sync")
    assert load_settings().data_dir == Path("/home/someone/sync")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_file_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    """A `.env` file that is not UTF-8 is named with a remedy, and none of its content is shown."""
    (tmp_path / ".env").write_text("ITERABLE_API_KEY=secret\n# für uns\n", encoding=encoding)
    kind = "UTF-16" if encoding.startswith("utf-16") else "not in UTF-8"
    with pytest.raises(SettingsError, match=rf"\.env.*{kind}.*UTF-8") as refused:
        load_settings()
    assert "secret" not in refused.value.message


def test_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    """A `.env` file with a byte order mark, as from an editor on Windows, keeps its first setting."""
    (tmp_path / ".env").write_text("ITERABLE_API_KEY=from-file\n", encoding="utf-8-sig")
    settings = load_settings()
    assert settings.iterable_api_key is not None
    assert settings.iterable_api_key.get_secret_value() == "from-file"


def test_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting in `.env` counts unless the environment has it too, and unknown names are ignored."""
    (tmp_path / ".env").write_text("ITERABLE_API_KEY=from-file\nITERABLE_SYNC_WORKER_ID=file\nOTHERS=1\n")
    monkeypatch.setenv("ITERABLE_SYNC_WORKER_ID", "environment")
    settings = load_settings()
    assert settings.iterable_api_key is not None
    assert settings.iterable_api_key.get_secret_value() == "from-file"
    assert settings.worker_id == "environment"


@pytest.mark.parametrize("name", ["ITERABLE_API_KEY", "ITERABLE_SYNC_DATABASE_URL", "ITERABLE_SYNC_SECRET_KEY"])
def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An empty variable counts as not set."""
    monkeypatch.setenv(name, "")
    settings = load_settings()
    assert (settings.iterable_api_key, settings.database_url, settings.secret_key) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ITERABLE_SYNC_ITERABLE_URL", "ftp://secret.example.com"),
        ("ITERABLE_SYNC_ITERABLE_URL", "secret.example.com"),
        ("ITERABLE_SYNC_ITERABLE_URL", "http://secret.example.com"),
        ("ITERABLE_SYNC_ITERABLE_URL", "http://127.0.0.1.secret.example.com"),
        ("ITERABLE_SYNC_ITERABLE_URL", "http://127.0.0.1@secret.example.com"),
        ("ITERABLE_SYNC_ITERABLE_URL", "http://10.0.0.1/secret"),
        ("ITERABLE_SYNC_ITERABLE_URL", "https://secret.example.com:8970."),
        ("ITERABLE_SYNC_ITERABLE_URL", "https:///secret"),
        ("SLACK_API_URL", "http://secret.example.com/api/"),
        ("ITERABLE_SYNC_WORKER_ID", "secret" * 50),
    ],
)
def test_wrong_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """An error names the wrong setting and the reason, and does not show the value."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert name in refused.value.message
    assert "secret" not in refused.value.message
    assert refused.value.__cause__ is None


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error names all wrong settings."""
    monkeypatch.setenv("ITERABLE_SYNC_ITERABLE_URL", "nowhere")
    monkeypatch.setenv("ITERABLE_SYNC_WORKER_ID", "")
    with pytest.raises(SettingsError, match=r"ITERABLE_SYNC_ITERABLE_URL.*ITERABLE_SYNC_WORKER_ID"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ITERABLE_SYNC_PORT", "http", "must be a whole number"),
        ("ITERABLE_SYNC_PORT", "8080.5", "must be a whole number"),
        ("ITERABLE_SYNC_PORT", "-1", "must be 0-65535 (is -1)"),
        ("ITERABLE_SYNC_PORT", "65536", "must be 0-65535 (is 65536)"),
        ("ITERABLE_SYNC_APPROVAL_EXPIRY_S", "soon", "must be a number"),
        ("ITERABLE_SYNC_APPROVAL_EXPIRY_S", "0", "must be more than 0 (is 0)"),
        ("ITERABLE_SYNC_FIREHOSE_APPROVAL", "no", "must be 'required' or 'none'"),
        ("ITERABLE_SYNC_WORKER_ID", "", "must not be empty"),
        ("ITERABLE_SYNC_WORKER_ID", "w" * 201, "must have at most 200 characters"),
        ("ITERABLE_SYNC_ITERABLE_URL", "nowhere", "must begin with https://"),
    ],
)
def test_what_is_wrong_is_a_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    """An error says what a setting must be."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert refused.value.message == f"{name} {sentence}."


@pytest.mark.parametrize("name", SECRETS)
def test_secret_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each secret can come from a file that the variable with _FILE names."""
    (tmp_path / "secret").write_text("from-the-file\n")
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
    secret = getattr(load_settings(), name.lower().removeprefix("iterable_sync_"))
    assert secret.get_secret_value() == "from-the-file"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("echo ' from-the-command '", None),
        ("false", "The command of SLACK_BOT_TOKEN_COMMAND failed (exit code 1)."),
        ("true", "The command that SLACK_BOT_TOKEN_COMMAND names is empty."),
        ("'", "The command of SLACK_BOT_TOKEN_COMMAND can't be read: a quotation mark is missing."),
        ("no-such-program", "The command of SLACK_BOT_TOKEN_COMMAND can't be started (No such file or directory)."),
        ("printf '\\377'", "The command of SLACK_BOT_TOKEN_COMMAND printed no text in UTF-8."),
        ("sleep 60", "The command of SLACK_BOT_TOKEN_COMMAND took more than 0 seconds."),
    ],
)
def test_secret_from_a_command(monkeypatch: pytest.MonkeyPatch, command: str, sentence: str | None) -> None:
    """A secret can come from a command; one that can't be used is an error that shows no secret."""
    monkeypatch.setenv("SLACK_BOT_TOKEN_COMMAND", command)
    monkeypatch.setattr(secret_sources, "COMMAND_S", 0.3 if command.startswith("sleep") else 30.0)
    if sentence is None:
        token = load_settings().slack_bot_token
        assert token is not None
        assert token.get_secret_value() == "from-the-command"
        return
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert refused.value.message == sentence


def test_variable_of_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings know which variable each secret comes from."""
    (tmp_path / "secret").write_text("from-the-file")
    monkeypatch.setenv("ITERABLE_API_KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("ITERABLE_SYNC_SECRET_KEY_COMMAND", "echo secret")
    monkeypatch.setenv("SENTRY_DSN", "https://key@sentry.example.com/1")
    settings = load_settings()
    named = {
        name: settings.variable_of(name) for name in ("ITERABLE_API_KEY", "ITERABLE_SYNC_SECRET_KEY", "SENTRY_DSN")
    }
    assert named == {
        "ITERABLE_API_KEY": "ITERABLE_API_KEY_FILE",
        "ITERABLE_SYNC_SECRET_KEY": "ITERABLE_SYNC_SECRET_KEY_COMMAND",
        "SENTRY_DSN": "SENTRY_DSN",
    }


def test_secret_with_two_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that has a file and a command is an error."""
    monkeypatch.setenv("SENTRY_DSN_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("SENTRY_DSN_COMMAND", "echo secret")
    with pytest.raises(SettingsError, match="SENTRY_DSN_FILE and SENTRY_DSN_COMMAND are both set"):
        load_settings()


def test_secret_file_named_in_the_env_file(tmp_path: Path) -> None:
    """The variable with the file of a secret may be in `.env`."""
    (tmp_path / "secret").write_text("from-the-file")
    (tmp_path / ".env").write_text(f"ITERABLE_API_KEY_FILE={tmp_path}/secret\n")
    settings = load_settings()
    assert settings.iterable_api_key is not None
    assert settings.iterable_api_key.get_secret_value() == "from-the-file"


@pytest.mark.parametrize(
    ("content", "variable", "sentence"),
    [
        (None, "", "The file that SLACK_BOT_TOKEN_FILE names can't be read (No such file or directory)."),
        (b" \n", "", "The file that SLACK_BOT_TOKEN_FILE names is empty."),
        (b"\xff\xff", "", "The file that SLACK_BOT_TOKEN_FILE names is not text in UTF-8."),
        (b"a-secret", "b-secret", "SLACK_BOT_TOKEN and SLACK_BOT_TOKEN_FILE are both set. Remove one of them."),
    ],
)
def test_wrong_secret_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, variable: str, sentence: str
) -> None:
    """A file that can't be used is an error that shows no secret."""
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv("SLACK_BOT_TOKEN_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("SLACK_BOT_TOKEN", variable)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert refused.value.message == sentence


def test_representation_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printing the settings shows no secret."""
    for name in ("ITERABLE_API_KEY", "ITERABLE_SYNC_DATABASE_URL", "ITERABLE_SYNC_SECRET_KEY"):
        monkeypatch.setenv(name, "postgresql://user:very-secret@db/sync")
    settings = load_settings()
    assert "very-secret" not in f"{settings} {settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_described(name: str) -> None:
    """Each setting has a description, for the pages that list them."""
    assert Settings.model_fields[name].description


def test_places_of_a_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace may read its own places and those of all; an entry without a workspace id is for all."""
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", "/data/a, s3://b/c")
    assert load_settings().audience_places("T1") == ("/data/a", "s3://b/c") == load_settings().unscoped_places

    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", "/shared; T1=/data/a,s3://b/k=v ;T2=/data/b;")
    settings = load_settings()
    assert settings.audience_places("T1") == ("/shared", "/data/a", "s3://b/k=v")
    assert settings.audience_places("T2") == ("/shared", "/data/b")
    assert settings.audience_places("T3") == ("/shared",) == settings.unscoped_places


def test_workspaces_that_may_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only named workspaces, or all with *, may install the app; any other text is refused."""
    assert not load_settings().may_install("T1")
    monkeypatch.setenv("ITERABLE_SYNC_ALLOWED_WORKSPACES", "T1, T2")
    assert [load_settings().may_install(each) for each in ("T1", "T2", "T3", None)] == [True, True, False, False]
    monkeypatch.setenv("ITERABLE_SYNC_ALLOWED_WORKSPACES", "*")
    assert load_settings().may_install("T3")
    monkeypatch.setenv("ITERABLE_SYNC_ALLOWED_WORKSPACES", "fernway")
    with pytest.raises(SettingsError, match=r"ITERABLE_SYNC_ALLOWED_WORKSPACES: fernway is not the id of a workspace"):
        load_settings()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/api/", "http://localhost:1/api/", "http://[::1]:1/api/"])
def test_unencrypted_on_this_machine(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Unencrypted URLs are allowed for this machine: for the local Iterable and Slack."""
    monkeypatch.setenv("ITERABLE_SYNC_ITERABLE_URL", url)
    monkeypatch.setenv("SLACK_API_URL", url)
    settings = load_settings()
    assert (settings.iterable_url, settings.slack_api_url) == (url.rstrip("/"), url)


def test_short_firehose_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Firehose token must have at least 24 characters."""
    monkeypatch.setenv("ITERABLE_SYNC_FIREHOSE_TOKEN", "a" * 24)
    load_settings().check_firehose_token()
    monkeypatch.setenv("ITERABLE_SYNC_FIREHOSE_TOKEN", "a" * 23)
    with pytest.raises(SettingsError, match="fewer than 24 characters"):
        load_settings().check_firehose_token()
