"""The log of the command line as JSON."""

import asyncio
import json
import logging
import signal
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path

import pytest

from bot.cli import logging_setup
from bot.cli.errors import ERROR_LOG
from bot.cli.logging_setup import Repetitions, handler_for, json_line
from bot.ui.terminal import Terminal
from core.telemetry.log_context import log_ids
from tests.bot.cli.commands import Commands, until


def _record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    raised = None if error is None else (type(error), error, None)
    return logging.LogRecord("core.runs", logging.WARNING, __file__, 1, message, arguments, raised)


def test_fields() -> None:
    """A record has its time with a zone, its level, its logger, its message and the ids that it names."""
    fields = json.loads(json_line(_record("%d changes of run %s and connection %s: %s", 3, "abc", 7, "later")))
    assert datetime.fromisoformat(fields.pop("time")).tzinfo is not None
    assert fields == {
        "level": "warning",
        "logger": "core.runs",
        "message": "3 changes of run abc and connection 7: later",
        "run_id": "abc",
        "connection_id": "7",
    }


async def test_ids_of_the_block() -> None:
    """A record has the ids of the run and the request that it was logged for, also in tasks; its own ids come first."""
    with log_ids(request_id="r1"):
        with log_ids(run_id="abc", connection_id=7):
            inner = await asyncio.create_task(
                asyncio.to_thread(lambda: json.loads(json_line(_record("run %s", "def"))))
            )
        outer = json.loads(json_line(_record("done")))
    assert (inner["request_id"], inner["run_id"], inner["connection_id"]) == ("r1", "def", "7")
    assert outer["request_id"] == "r1"
    assert "run_id" not in outer
    assert "request_id" not in json.loads(json_line(_record("done")))


def test_repeated_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same warning is printed once a minute, with how often it was left out; so is its error in the error log."""
    handler = handler_for(Terminal(), tmp_path, "json")

    def log(message: str, at: float) -> None:
        record = _record(message, error=OSError())
        record.created = at
        handler.emit(record)

    for second in range(61):
        log("no database", float(second))
    log("no disk", 61.0)
    first, again, other = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert ("repeated" in first, again["repeated"], other["message"]) == (False, 59, "no disk")
    assert (tmp_path / ERROR_LOG).read_text().count("OSError") == 3


def test_many_messages() -> None:
    """Messages that have not repeated for a minute are forgotten when there are many."""
    repetitions = Repetitions()
    for number in range(3 * logging_setup.MOST_MESSAGES):
        record = _record("run %s", number)
        record.created = float(number)
        assert repetitions.admits(record)
    assert len(repetitions.seen) <= logging_setup.MOST_MESSAGES


def test_error_without_its_text() -> None:
    """A record of an error has its type, and not its text, which may quote an address."""
    line = json_line(_record("could not deliver\nlive changes", error=ValueError("p1@example.com")))
    assert json.loads(line)["error"] == "ValueError"
    assert "example.com" not in line
    assert "\n" not in line


@pytest.mark.extended
def test_serve_logs_json(run: Commands) -> None:
    """With ITERABLE_SYNC_LOG_FORMAT=json, `serve` logs a message that it rejects as a JSON object on one line."""
    token = "a-token-that-is-long-enough"
    run.env |= {
        "ITERABLE_SYNC_LOG_FORMAT": "json",
        "ITERABLE_SYNC_PORT": "0",
        "ITERABLE_SYNC_FIREHOSE_TOKEN": token,
    }
    with run.started("serve") as command:
        until(lambda: "Ready" in command.out.read_text())
        address = next(
            line.split()[2] for line in command.out.read_text().splitlines() if line.startswith("HTTP server")
        )
        request = urllib.request.Request(f"{address}/mparticle/firehose/{token}", data=b"{}", method="POST")
        request.add_header("X-Request-Id", "from-the-proxy")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request)
        until(lambda: "rejected" in command.err.read_text())
        (line,) = command.err.read_text().splitlines()
        command.process.send_signal(signal.SIGTERM)
        assert command.ended().code == 0
    assert json.loads(line)["logger"] == "bot.web.firehose"
    assert json.loads(line)["request_id"] == "from-the-proxy"
