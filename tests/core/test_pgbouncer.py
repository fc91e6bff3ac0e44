"""PostgreSQL behind a pooler in transaction mode: each transaction may use another server connection."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import update

from core.planning import batching
from core.store.postgresql import connection_parameters
from core.store.tables import runs
from tests.core.databases import new_postgresql, without
from tests.core.harness import OTHER_LIST, QUICK, RunStatus, people, syncing
from tests.core.test_storage_worker import wait_until_done, working

pytestmark = pytest.mark.extended

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.fixture
def pooled(postgresql_server: str, tmp_path: Path) -> Iterator[str]:
    """The address of a PgBouncer in transaction mode, with three connections to an empty database."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    url = new_postgresql(postgresql_server, empty=True)
    database, port = url.rpartition("?")[0].rpartition("/")[2], _free_port()
    directory = connection_parameters(url)["host"]
    config = tmp_path / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n{database} = host={directory} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 3\nserver_round_robin = 1\n"
    )
    command = [PGBOUNCER, "-q", str(config)]
    if os.getuid() == 0:  # PgBouncer refuses to run as root
        tmp_path.chmod(0o755)
        command[1:1] = ["-u", Path(directory).owner()]
        for folder in [config, *config.parents][:4]:
            folder.chmod(folder.stat().st_mode | 0o055)
    with subprocess.Popen(command) as process:
        address = f"postgres://postgres@127.0.0.1:{port}/{database}"
        try:
            _wait_for(address)
            yield address
        finally:
            process.terminate()
    without(postgresql_server, url)


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(address: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            assert time.monotonic() < end, "PgBouncer does not answer"
            time.sleep(0.02)
        else:
            return


async def test_runs_behind_a_pooler(tmp_path: Path, pooled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs with many batches, one alone and two at a time, succeed as they do on PostgreSQL itself."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)
    async with syncing(tmp_path, pooled, retry_policy=QUICK) as sync:
        assert (await sync.mirror(people(range(400)))).counts == {"members": 400, "added": 400}
        again, other = await asyncio.gather(
            sync.mirror(people(range(200, 600)), approved=True), sync.mirror(people(range(300)), list_id=OTHER_LIST)
        )
        assert again.counts == {"members": 400, "left": 200, "added": 200, "removed": 200, "unchanged": 200}
        assert other.run.status is RunStatus.SUCCEEDED
        assert sync.emails() == {f"p{n}@example.com" for n in range(200, 600)}
        run_id = await sync.submit(sync.mirror_file(people(range(200, 600))))
        async with sync.engine.database.write() as db:
            await db.execute(update(runs).where(runs.c.id == run_id).values(worker_id=None))
        async with working(sync):
            await wait_until_done(sync, run_id)
    # the shared connections have no leftover state
    with psycopg.connect(pooled, autocommit=True) as shared:
        shared.prepare_threshold = None
        for statement in (
            "SELECT count(*) FROM pg_prepared_statements",
            "SELECT count(*) FROM pg_listening_channels()",
        ):
            for _ in range(3):
                assert shared.execute(statement.encode()).fetchone() == (0,)
