"""An outage of PostgreSQL under several `serve` processes: each is ready again afterwards, and none ends."""

import contextlib
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.bot.cli.commands import Commands, LocalIterable, until
from tests.core.databases import new_postgresql, postgresql, start, stop

#: The time in which a process has to be ready after the database is back, in seconds.
READY_AGAIN_S = 10.0


def is_ready(address: str) -> bool:
    """Return whether a process says that it is ready."""
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return False


@pytest.mark.extended
@pytest.mark.parametrize(("processes", "seconds"), [(1, 2), (3, 45)], ids=["short", "long"])
def test_ready_again_after_an_outage(tmp_path: Path, iterable: LocalIterable, processes: int, seconds: int) -> None:
    """Each process is ready within ten seconds after the outage, and ends normally on SIGTERM."""
    with postgresql() as server, contextlib.ExitStack() as stack:
        settings = {"ITERABLE_SYNC_PORT": "0", "ITERABLE_SYNC_DATABASE_URL": new_postgresql(server)}
        commands, addresses = [], []
        for number in range(processes):
            directory = tmp_path / str(number)
            directory.mkdir()
            commands.append(stack.enter_context(Commands(directory, iterable, settings).started("serve")))
        for command in commands:
            until(lambda command=command: "Ready" in command.out.read_text())  # type: ignore[misc]
            shown = command.out.read_text().splitlines()
            addresses.append(next(line.split()[2] for line in shown if line.startswith("HTTP server")))
        assert all(is_ready(address) for address in addresses)
        stop(server)
        until(lambda: not any(is_ready(address) for address in addresses))
        time.sleep(seconds)  # the outage
        start(server)
        until(lambda: all(is_ready(address) for address in addresses), READY_AGAIN_S)
        for command in commands:
            command.process.send_signal(signal.SIGTERM)
        for command in commands:
            result = command.ended()
            assert result.code == 0, result.err
