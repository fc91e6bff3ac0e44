"""Errors of the command line: the sentence, the exit code, and the log of errors."""

import logging
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from bot.cli import errors, logging_setup
from bot.cli.errors import failure_of
from bot.cli.exit_codes import ExitCode
from bot.ui.formatting import compact_duration
from bot.ui.terminal import Terminal, clean
from core.errors import InputError, SettingsError, StorageError, SyncError
from core.iterable import InvalidApiKeyError, ListNotFoundError, UnavailableError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("is empty."), ExitCode.BAD_INPUT),
        (SettingsError("is wrong."), ExitCode.BAD_INPUT),
        (InvalidApiKeyError(), ExitCode.BAD_INPUT),
        (ListNotFoundError(list_id=1), ExitCode.BAD_INPUT),
        (UnavailableError(), ExitCode.FAILED),
        (SyncError("failed."), ExitCode.FAILED),
        (StorageError("failed under way."), ExitCode.FAILED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_exit_code_depends_on_the_kind_of_error(tmp_path: Path, error: BaseException, code: ExitCode) -> None:
    """Bad input, a failure and an interrupt have different exit codes."""
    assert failure_of(error, tmp_path).code is code


def test_unexpected_error_is_logged_without_its_message(tmp_path: Path) -> None:
    """The log of an unexpected error has its traceback without its message, and only the owner can read it."""
    try:
        raise ValueError("ada@example.com")
    except ValueError as error:
        failure = failure_of(error, tmp_path)

    log = tmp_path / "error.log"
    assert failure.code is ExitCode.FAILED
    assert "(ValueError)" in failure.sentence
    assert str(log) in failure.sentence
    assert "builtins.ValueError" in log.read_text()
    assert "in test_unexpected_error_is_logged_without_its_message" in log.read_text()
    assert "ada@example.com" not in log.read_text().replace('raise ValueError("ada@example.com")', "")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_unexpected_error_without_a_log(tmp_path: Path) -> None:
    """An unexpected error is a sentence even if the log can't be written."""
    assert failure_of(ValueError(), tmp_path / "missing").sentence.endswith("Please report it.")


def test_error_log_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of errors is rotated: at most two files exist."""
    monkeypatch.setattr(errors, "MOST_LOG_BYTES", 100)
    for _ in range(5):
        failure_of(ValueError("x" * 200), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["error.log", "error.log.1"]


def test_database_error_is_described(tmp_path: Path) -> None:
    """A database error becomes one of the known sentences."""
    error = OperationalError("UPDATE runs", {}, Exception("database is locked"))

    assert failure_of(error, tmp_path).sentence.startswith("The database is locked by another program.")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (9.5, "9.5 s"), (75, "75 s"), (150, "2 min 30 s"), (7260, "2 h 01 min")]
)
def test_duration_in_words(seconds: float, words: str) -> None:
    """A duration reads as a person writes it."""
    assert compact_duration(seconds) == words


def test_control_characters_are_replaced() -> None:
    """Control characters in a name are replaced, so that they can't control the terminal."""
    assert clean("a\x1b[31mb\nc") == "a\ufffd[31mb\nc"


def test_error_in_a_thread_prints_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in a thread is one line on standard error and an entry in the log; errors after an interrupt are
    neither."""
    monkeypatch.setattr("threading.excepthook", threading.excepthook)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logging_setup.configure(Terminal(), tmp_path)

    for words in ("ada@example.com", "Event loop is closed"):
        thread = threading.Thread(target=_fail, args=[words])
        thread.start()
        thread.join()

    assert capsys.readouterr().err == "error: a thread ended unexpectedly (RuntimeError)\n"
    assert "in _fail" in (tmp_path / "error.log").read_text()


def _fail(words: str) -> None:
    raise RuntimeError(words)
