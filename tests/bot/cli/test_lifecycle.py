"""The life of an installation, as in the guides: upgraded from 0.1.0 with a run in flight, rolled back, removed.

The commands are those of docs/howto/maintain.md and docs/howto/uninstall.md. The data of version 0.1.0 is that of
tests/core/store/test_upgrade.py.
"""

import asyncio
import contextlib
import json
import shutil
import signal
import sqlite3
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from core.store.database import Database
from core.worker_registry import _place_of
from tests.bot.cli.commands import DEADLINE_S, Commands, LocalIterable, until
from tests.core.store.test_migrations import upgrade_to
from tests.core.store.test_upgrade import LEFT, RELEASED, insert
from tests.core.test_crash import SECOND, UNDISTURBED, expected

# Not while it uploaded: then the new version first waits for a minute, until no request of the killed process is left.
_STATE: dict[str, Any] = LEFT["states"]["planning"]
_FILE = "iterable-sync.sqlite"


def call(iterable: LocalIterable, method: str, path: str, body: object = None) -> Any:
    """Call the API of the local Iterable, and return the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Api-Key": iterable.key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{iterable.url}/api{path}", data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def make_former(run: Commands, list_id: int) -> str:
    """Make the data directory that a killed process of version 0.1.0 has left, and its list. Returns the run's id."""
    known = call(run.iterable, "GET", "/lists")["lists"]
    created_at = next(each["createdAt"] for each in known if each["id"] == list_id)
    text = json.dumps(_STATE["tables"]).replace("/audiences/", f"{run.folder}/")
    text = text.replace('"list_id": 1001', f'"list_id": {list_id}')
    tables = json.loads(text.replace("1735689600000", str(created_at)))
    lock = run.folder / "data" / "workers" / "former.lock"  # free, so the process has ended
    lock.parent.mkdir(parents=True)
    lock.touch()
    with lock.open("rb") as opened:
        tables["workers"][0] |= {"host": _place_of(opened.fileno()), "lock_path": str(lock)}
    people = [{"email": email, "userId": user_id} for email, user_id in _STATE["list"].items()]
    call(run.iterable, "POST", "/lists/subscribe", {"listId": list_id, "subscribers": people})
    (run.folder / "audience1.csv").write_text(LEFT["audience"], encoding="utf-8")

    async def fill() -> None:
        database = Database(f"sqlite:///{run.folder / 'data' / _FILE}")
        await upgrade_to(database, RELEASED)
        async with database.write() as db:
            await db.run_sync(insert, tables)
        await database.close()

    asyncio.run(fill())
    return str(tables["runs"][-1]["id"])


def stored(folder: Path, query: str) -> str:
    """Return the only value of a query of the database in a data directory."""
    with contextlib.closing(sqlite3.connect(folder / _FILE)) as database:
        return str(database.execute(query).fetchone()[0])


@pytest.mark.extended
def test_upgrade_rollback_and_uninstall(first: Commands, iterable: LocalIterable) -> None:
    """The run in flight ends as an undisturbed one, the copy works after a rollback, and the removal leaves nothing."""
    run, list_id = first, iterable.new_list()
    data, copy, after = (run.folder / name for name in ("data", "copy", "after"))
    run_id = make_former(run, list_id)
    shutil.copytree(data, copy)

    assert run.here("doctor").code == 0  # migrates the database
    with run.started("worker") as worker:
        until(lambda: stored(data, f"SELECT status FROM runs WHERE id = '{run_id}'") == "succeeded", 2 * DEADLINE_S)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ended().code == 0
    shown = run.here("runs", "show", run_id, "--json").object
    assert {name: shown[name] for name in UNDISTURBED} == UNDISTURBED
    assert iterable.emails(list_id) == expected(SECOND)

    # The rollback: the former data is as it was, and a full sync of it makes the list right.
    data.rename(after)
    copy.rename(data)
    assert stored(data, "SELECT version_num FROM alembic_version") == RELEASED
    synced = run.here("sync", "audience1.csv", "--list", list_id, "--user-id", "mpid", "--yes", "--json")
    assert synced.object["status"] == "succeeded", synced.err
    assert iterable.emails(list_id) == expected(SECOND)

    # The removal, in the order of the guide.
    assert run.here("schedules", "list").code == 0
    assert run.here("runs", "list", "--status", "running").code == 0
    assert run.here("backup", run.folder / "backup.tar.gz").code == 0
    for folder in (data, after):
        shutil.rmtree(folder)
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "audience1.csv",
        "backup.tar.gz",
        "err.txt",
        "out.txt",
    ]
    assert iterable.emails(list_id) == expected(SECOND)
