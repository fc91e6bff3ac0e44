"""`iterable-sync backup` and `restore`: the data directory in one file."""

import stat
import tarfile

import pytest

from tests.bot.cli.commands import Commands, LocalIterable


def test_backup_is_restored(run: Commands, iterable: LocalIterable) -> None:
    """A restored directory has the runs, the ledger and the key: a sync of the same file changes nothing."""
    list_id = iterable.new_list()
    run.here("connections", "add", "shop")
    run.here("sync", run.audience(range(4)), "--list", list_id, "--connection", "shop")
    backup = run.folder / "backup.tar.gz"

    written = run.here("backup", backup)
    assert written.code == 0, written.err
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    elsewhere = {"ITERABLE_SYNC_DATA_DIR": str(run.folder / "restored")}
    assert run.here("restore", backup, env=elsewhere).code == 0

    again = run.here("sync", run.audience(range(4)), "--list", list_id, "--connection", "shop", "--json", env=elsewhere)
    assert (again.object["added"], again.object["unchanged"]) == (0, 4)
    assert len(run.here("runs", "list", "--json", env=elsewhere).object["runs"]) == 2
    assert run.here("restore", backup, env=elsewhere).code == 2


def test_backup_while_a_worker_runs(run: Commands, iterable: LocalIterable) -> None:
    """A backup that is made while a worker runs has the database, undamaged."""
    run.here("sync", run.audience(range(2)), "--list", iterable.new_list())
    with run.started("worker") as worker:
        written = run.here("backup", run.folder / "backup.tar.gz")
        assert worker.process.poll() is None
    assert written.code == 0, written.err
    with tarfile.open(run.folder / "backup.tar.gz") as tar:
        assert tar.getnames() == ["iterable-sync.sqlite", "secret.key"]
    assert run.here("restore", "backup.tar.gz", env={"ITERABLE_SYNC_DATA_DIR": "restored"}).code == 0


@pytest.mark.parametrize("content", [b"not a backup", b""])
def test_restore_of_another_file(first: Commands, content: bytes) -> None:
    """A file that is not a backup is refused, and nothing is created."""
    (first.folder / "other").write_bytes(content)
    result = first.here("restore", "other")
    assert result.code == 2
    assert "is not a backup of Iterable Sync" in result.err
    assert not list((first.folder / "data").iterdir())


def test_restore_of_a_cut_backup(run: Commands, iterable: LocalIterable) -> None:
    """A backup that was cut off is refused, and the directory has no database."""
    run.here("sync", run.audience(range(2)), "--list", iterable.new_list())
    assert run.here("backup", "backup.tar.gz").code == 0
    whole = (run.folder / "backup.tar.gz").read_bytes()
    (run.folder / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    result = run.here("restore", "cut.tar.gz", env={"ITERABLE_SYNC_DATA_DIR": "restored"})
    assert result.code == 2, result.err
    assert not list((run.folder / "restored").iterdir())


def test_nothing_to_back_up(first: Commands) -> None:
    """Without a database, and on PostgreSQL, the error says what to do."""
    assert "There is no database in" in first.here("backup", "backup.tar.gz").err
    address = {"ITERABLE_SYNC_DATABASE_URL": "postgresql://user:word@localhost/name"}
    for command, tool in (("backup", "pg_dump, in its custom format"), ("restore", "pg_restore")):
        result = first.here(command, "backup.tar.gz", env=address)
        assert result.code == 2
        assert tool in result.err
        assert "word" not in result.err
