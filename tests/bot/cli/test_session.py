"""The command as a whole: help, doctor, worker."""

import os
import signal
import sqlite3
import subprocess
import sys
from importlib.metadata import version

import pytest

from bot.cli.doctor import checks
from tests.bot.cli.commands import COMMAND, Commands, until

HELP = """
import sys
from bot.cli import main
for command in ("", "sync", "runs resume", "connections", "demo"):
    try:
        main([*command.split(), "--help"])
    except SystemExit as ended:
        assert ended.code == 0, ended.code
print("imported:", *sorted({"aiohttp", "alembic", "duckdb", "sqlalchemy"} & set(sys.modules)))
"""


def test_help_imports_nothing_heavy() -> None:
    """Help loads none of the slow packages."""
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "imported:"


ONE_COMMAND = """
import sys
from bot.cli import main
try:
    main(["runs", "list", "--help"])
except SystemExit as ended:
    assert ended.code == 0, ended.code
print("imported:", *sorted(each for each in sys.modules if each.startswith("bot.cli.commands.")))
"""


def test_a_command_imports_no_other() -> None:
    """A command does not load the modules of the others."""
    done = subprocess.run([sys.executable, "-c", ONE_COMMAND], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "imported: bot.cli.commands.run_decisions bot.cli.commands.runs"


COMMAND_ALONE = """
import gc, sys
from bot.cli import collector, main
searches = []
gc.callbacks.append(lambda phase, _info: searches.append(phase))
collector.begin_imports()
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code, ended.code
slow = {"aiohttp", "alembic", "cryptography", "duckdb", "procrastinate", "psycopg", "pyarrow"}
print("imported:", *sorted(slow & set(sys.modules)), "searches:", len(searches))
"""


@pytest.mark.extended
def test_commands_import_what_they_need(run: Commands) -> None:
    """`runs list` loads no client, a small sync no planner for large ones, and no search for cycles interrupts them."""

    def last_line(*args: str) -> str:
        command = [sys.executable, "-c", COMMAND_ALONE, *args]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=run.env, cwd=run.folder)
        return done.stdout.splitlines()[-1]

    audience, list_id = run.audience(range(5)), run.iterable.new_list()
    run.here("runs", "list")  # creates the database

    assert last_line("runs", "list") == "imported: searches: 0"
    assert last_line("sync", str(audience), "--list", str(list_id)) == "imported: aiohttp searches: 0"


def test_version(run: Commands) -> None:
    """`--version` prints the installed version."""
    assert run.here("--version").out == f"iterable-sync {version('iterable-sync')}\n"


@pytest.mark.extended
def test_shells_complete_commands(run: Commands) -> None:
    """The script for bash is printed, and what it calls completes commands and options."""
    words = {"_ITERABLE_SYNC_COMPLETE": "complete_bash", "COMP_WORDS": "iterable-sync runs li", "COMP_CWORD": "2"}
    assert "complete -o default -F _iterable_sync_completion iterable-sync" in run("--show-completion", "bash").out
    assert run("", env=words).out == "list\n"
    assert run("", env=words | {"COMP_WORDS": "iterable-sync serve --po"}).out == "--port\n"


def test_unknown_command(run: Commands) -> None:
    """An unknown command gets one sentence that names the help."""
    result = run.here("sink")

    assert result.code == 2
    assert result.err == "No such command 'sink'. See `iterable-sync --help`.\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("sync", "a.csv", "--list", "1", "--frob"), "No such option: --frob. See `iterable-sync sync --help`.\n"),
        (
            ("sync", "a.csv", "--list", "1", "--data-center", "uk"),
            "Invalid value for '--data-center': 'uk' is not one of 'us', 'eu'. See `iterable-sync sync --help`.\n",
        ),
    ],
)
def test_wrong_usage_is_a_whole_sentence(run: Commands, args: tuple[str, ...], message: str) -> None:
    """A wrong option gets a complete sentence and a pointer to the help."""
    assert run.here(*args).err == message


@pytest.mark.extended
def test_doctor_finds_no_fault(run: Commands) -> None:
    """If all checks pass, each line says ok and the exit code is 0."""
    result = run("doctor")

    assert result.code == 0, result.out
    assert [line.split()[0] for line in result.out.splitlines()] == ["ok"] * 10


@pytest.mark.extended
def test_closed_pipe(run: Commands) -> None:
    """If the reader of the output closes the pipe, as `head` does, the command prints no error."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [COMMAND, "doctor"], stdout=write, stderr=subprocess.PIPE, env=run.env, cwd=run.folder, check=False
    )
    os.close(write)

    assert (done.returncode, done.stderr) == (1, b"")


def test_doctor_finds_faults(run: Commands) -> None:
    """The doctor says what is wrong and what to do, without the key, and its exit code is 1."""
    result = run.here("doctor", env={"ITERABLE_API_KEY": "0123456789abcdef", "ITERABLE_SYNC_SECRET_KEY": "short"})

    wrong = [line for line in result.out.splitlines() if line.startswith("WRONG")]
    assert result.code == 1
    assert len(wrong) == 2
    assert "ITERABLE_SYNC_SECRET_KEY is not a key" in wrong[0]
    assert "Iterable refuses the API key" in wrong[1]
    assert "0123456789abcdef" not in result.out


def test_doctor_stops_at_a_wrong_setting(run: Commands) -> None:
    """The doctor names a wrong setting, and makes no other check."""
    result = run.here("doctor", env={"ITERABLE_SYNC_ITERABLE_URL": "ftp://nowhere"})

    assert result.code == 1
    assert result.out.startswith("WRONG  settings: ITERABLE_SYNC_ITERABLE_URL")


def test_doctor_as_json(run: Commands) -> None:
    """With --json, the doctor prints one object with all results, and the exit code stays."""
    well = run.here("doctor", "--json")
    wrong = run.here("doctor", "--json", env={"ITERABLE_SYNC_PORT": "http"})

    assert (well.code, well.object["ok"], well.object["error"]) == (0, True, None)
    assert len(well.object["checks"]) == 10
    assert wrong.code == 1
    assert wrong.object["checks"] == [
        {
            "what": "settings",
            "ok": False,
            "text": "ITERABLE_SYNC_PORT must be a whole number.",
            "is_note": False,
        }
    ]


def test_doctor_wants_a_key_for_the_command_line_alone(run: Commands) -> None:
    """A missing API key is wrong on the command line, and not if mParticle or people in Slack bring one."""
    no_key = {"ITERABLE_API_KEY": ""}
    firehose = {"ITERABLE_SYNC_FIREHOSE_TOKEN": "a-token-that-is-long-enough"}

    alone, served = run.here("doctor", env=no_key), run.here("doctor", env=no_key | firehose)

    assert (alone.code, served.code) == (1, 0)
    assert "WRONG  API key: is not set" in alone.out
    assert "ok     API key: none is saved yet" in served.out


@pytest.mark.extended
def test_worker_ends_on_a_signal(run: Commands) -> None:
    """A worker runs until SIGTERM, and its exit code is 0."""
    with run.started("worker") as command:
        until(lambda: "waits for runs" in command.err.read_text())
        command.process.send_signal(signal.SIGTERM)
        assert command.ended().code == 0


def test_doctor_reports_a_data_directory_once(run: Commands) -> None:
    """If the data directory is unusable, the doctor does not also report the files in it."""
    (run.folder / "file").touch()

    result = run.here("doctor", env={"ITERABLE_SYNC_DATA_DIR": str(run.folder / "file")})

    wrong = [line for line in result.out.splitlines() if line.startswith("WRONG")]
    assert result.code == 1
    assert len(wrong) == 1
    assert "is a file. Choose a directory" in wrong[0]


async def test_doctor_finds_an_old_sqlite(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor reports a SQLite that is too old, with the ways to fix it."""
    monkeypatch.setenv("ITERABLE_SYNC_DATA_DIR", str(run.folder / "data"))
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    findings = {each.what: each async for each in checks.findings()}
    assert not findings["database"].ok
    assert "or newer is needed" in findings["database"].text
    assert "ITERABLE_SYNC_DATABASE_URL" in findings["database"].text
