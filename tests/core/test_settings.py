"""Settings: read from the environment and from `.env`; what is wrong is named and never shown."""

from pathlib import Path

import pytest

from core.engine import open_engine
from core.errors import SettingsError
from core.runs import workflows
from core.settings import Settings, load_settings
from tests.core.databases import furnish

NAMES = [name for name in Settings.model_fields if name != "iterable_api_key"]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without any of our settings, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ITERABLE_API_KEY", raising=False)
    for name in NAMES:
        monkeypatch.delenv(f"ITERABLE_SYNC_{name.upper()}", raising=False)


def test_defaults(tmp_path: Path) -> None:
    """Without any setting the data is in `./data`, in SQLite, and there is no key."""
    settings = load_settings()
    assert settings.resolved_database_url == f"sqlite:///{tmp_path}/data/iterable-sync.sqlite"
    assert (settings.iterable_api_key, settings.iterable_url, settings.secret_key) == (None, None, None)
    assert settings.worker_id


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting comes from the variable of its name."""
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
    """The files of the program are in the data directory, whatever its name is."""
    directory = tmp_path / name
    monkeypatch.setenv("ITERABLE_SYNC_DATA_DIR", str(directory))
    furnish(load_settings())
    async with open_engine(load_settings(), "test") as engine, workflows.durable(engine):
        pass
    assert _names(tmp_path) == {name}
    assert {"iterable-sync.sqlite", "iterable-sync-workflows.sqlite"} <= _names(directory)


def _names(directory: Path) -> set[str]:
    return {each.name for each in directory.iterdir()}


def test_data_directory_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~ in `.env`, which no shell replaces, is the home directory."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("ITERABLE_SYNC_DATA_DIR", "~/sync")
    assert load_settings().data_dir == Path("/home/someone/sync")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_file_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    """A `.env` that is not in UTF-8 is named, with what to do, and nothing of it is shown."""
    (tmp_path / ".env").write_text("ITERABLE_API_KEY=secret\n# für uns\n", encoding=encoding)
    kind = "UTF-16" if encoding.startswith("utf-16") else "not in UTF-8"
    with pytest.raises(SettingsError, match=rf"\.env.*{kind}.*UTF-8") as refused:
        load_settings()
    assert "secret" not in refused.value.message


def test_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    """The first setting counts in a `.env` that an editor on Windows began with a byte order mark."""
    (tmp_path / ".env").write_text("ITERABLE_API_KEY=from-file\n", encoding="utf-8-sig")
    settings = load_settings()
    assert settings.iterable_api_key is not None
    assert settings.iterable_api_key.get_secret_value() == "from-file"


def test_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from `.env` too; the environment wins, and what is not ours is passed over."""
    (tmp_path / ".env").write_text("ITERABLE_API_KEY=from-file\nITERABLE_SYNC_WORKER_ID=file\nOTHERS=1\n")
    monkeypatch.setenv("ITERABLE_SYNC_WORKER_ID", "environment")
    settings = load_settings()
    assert settings.iterable_api_key is not None
    assert settings.iterable_api_key.get_secret_value() == "from-file"
    assert settings.worker_id == "environment"


@pytest.mark.parametrize("name", ["ITERABLE_API_KEY", "ITERABLE_SYNC_DATABASE_URL", "ITERABLE_SYNC_SECRET_KEY"])
def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A variable that is set to nothing counts as not set."""
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
        ("SLACK_API_URL", "http://secret.example.com/api/"),
        ("ITERABLE_SYNC_WORKER_ID", "secret" * 50),
    ],
)
def test_wrong_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A setting that is wrong is named with what is wrong about it, and its value is not repeated."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert name in refused.value.message
    assert "secret" not in refused.value.message
    assert refused.value.__cause__ is None


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several wrong settings are named in one error."""
    monkeypatch.setenv("ITERABLE_SYNC_ITERABLE_URL", "nowhere")
    monkeypatch.setenv("ITERABLE_SYNC_WORKER_ID", "")
    with pytest.raises(SettingsError, match=r"ITERABLE_SYNC_ITERABLE_URL.*ITERABLE_SYNC_WORKER_ID"):
        load_settings()


def test_representation_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings can be printed without giving a secret away."""
    for name in ("ITERABLE_API_KEY", "ITERABLE_SYNC_DATABASE_URL", "ITERABLE_SYNC_SECRET_KEY"):
        monkeypatch.setenv(name, "postgresql://user:very-secret@db/sync")
    settings = load_settings()
    assert "very-secret" not in f"{settings} {settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_described(name: str) -> None:
    """Each setting says what it means, for the pages that list them."""
    assert Settings.model_fields[name].description


def test_places_of_a_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace may read its own places and those of every workspace; a list without ids is as it always was."""
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", "/data/a, s3://b/c")
    assert load_settings().audience_places("T1") == ("/data/a", "s3://b/c") == load_settings().unscoped_places

    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", "/shared; T1=/data/a,s3://b/k=v ;T2=/data/b;")
    settings = load_settings()
    assert settings.audience_places("T1") == ("/shared", "/data/a", "s3://b/k=v")
    assert settings.audience_places("T2") == ("/shared", "/data/b")
    assert settings.audience_places("T3") == ("/shared",) == settings.unscoped_places


def test_workspaces_that_may_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """No workspace may install the app until it is named, or all are; what is no id of a workspace is refused."""
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
    """Keys and tokens may go unencrypted to this machine: to the local Iterable and Slack."""
    monkeypatch.setenv("ITERABLE_SYNC_ITERABLE_URL", url)
    monkeypatch.setenv("SLACK_API_URL", url)
    settings = load_settings()
    assert (settings.iterable_url, settings.slack_api_url) == (url.rstrip("/"), url)


def test_token_that_could_be_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Firehose token has 24 characters at least."""
    monkeypatch.setenv("ITERABLE_SYNC_FIREHOSE_TOKEN", "a" * 24)
    load_settings().check_firehose_token()
    monkeypatch.setenv("ITERABLE_SYNC_FIREHOSE_TOKEN", "a" * 23)
    with pytest.raises(SettingsError, match="fewer than 24 characters"):
        load_settings().check_firehose_token()
