"""Several `serve` processes on one database, each with a data directory of its own, as on machines of their own."""

import contextlib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bot.cli.commands import Commands, LocalIterable, Started, until


@dataclass(frozen=True)
class Server:
    """A `serve` process, and the address of its HTTP server."""

    command: Started
    address: str

    def is_ready(self) -> bool:
        """Return whether the process says that it is ready."""
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=10) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            return False


@contextlib.contextmanager
def serving(
    directory: Path, iterable: LocalIterable, settings: Mapping[str, str], count: int
) -> Iterator[list[Server]]:
    """Run so many `serve` processes for the length of the block, which begins when all are ready."""
    with contextlib.ExitStack() as stack:
        commands = []
        for number in range(count):
            folder = directory / f"process-{number}"
            folder.mkdir(exist_ok=True)
            run = Commands(folder, iterable, {"ITERABLE_SYNC_PORT": "0", **settings})
            commands.append(stack.enter_context(run.started("serve")))
        servers = []
        for command in commands:
            until(lambda command=command: "Ready" in command.out.read_text())  # type: ignore[misc]
            shown = command.out.read_text().splitlines()
            address = next(line.split()[2] for line in shown if line.startswith("HTTP server"))
            servers.append(Server(command, address))
        until(lambda: all(server.is_ready() for server in servers))
        yield servers
