"""The log of the command line as JSON."""

import json
import logging
import signal
import urllib.error
import urllib.request
from datetime import datetime

import pytest

from bot.cli.logging_setup import json_line
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
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request)
        until(lambda: "rejected" in command.err.read_text())
        (line,) = command.err.read_text().splitlines()
        command.process.send_signal(signal.SIGTERM)
        assert command.ended().code == 0
    assert json.loads(line)["logger"] == "bot.web.firehose"
