"""The workspace of a plan: its SQL can read the audience's file, and nothing else."""

from pathlib import Path

import duckdb
import pytest

from core.models.batch import BatchEntry
from core.planning import workspace as workspaces
from core.planning.workspace import load_ledger, workspace
from core.store import ledger
from core.store.database import Database
from core.store.ledger import Entry
from tests.core.databases import on_both
from tests.core.store.seeds import add_connection, add_mapping


@pytest.mark.parametrize("name", ["a.csv", "it's 本🎉.csv"])
async def test_reads_the_audience_and_nothing_else(tmp_path: Path, name: str) -> None:
    """SQL in the workspace can't reach other files, the network, extensions or the settings."""
    (tmp_path / name).write_text("a\n1\n")
    (tmp_path / "other.csv").write_text("a\n2\n")
    path = str(tmp_path / name).replace("'", "''")
    async with workspace(tmp_path / "data", "run", 100, reads=[tmp_path / name]) as con:
        assert con.execute(f"SELECT * FROM read_csv('{path}')").fetchall() == [(1,)]
        for statement in (
            f"SELECT * FROM read_csv('{tmp_path}/other.csv')",
            f"SELECT * FROM '{tmp_path}/other.csv'",
            "SELECT * FROM read_text('/etc/passwd')",
            "SELECT * FROM glob('/etc/*')",
            "SELECT * FROM read_csv('https://127.0.0.1:1/a.csv')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/other.duckdb' AS other",
            "INSTALL httpfs",
            "SET enable_external_access = true",
            "SET memory_limit = '1GB'",
        ):
            with pytest.raises(duckdb.Error, match=r"disabled by configuration|has been locked|Cannot change"):
                con.execute(statement)
        con.execute("CREATE TABLE rows AS SELECT i, repeat('x', 80) AS text FROM range(1_500_000) AS t (i)")
        assert con.execute("SELECT count(*) FROM (SELECT * FROM rows ORDER BY text, i)").fetchall() == [(1_500_000,)]
        assert (tmp_path / "data" / "work" / "run" / "spill").is_dir()


async def test_tables_are_written_to_disk_once(tmp_path: Path) -> None:
    """A table that does not fit into memory is read again from the workspace's file, and is not written elsewhere."""
    async with workspace(tmp_path, "run", 30) as con:
        con.execute("CREATE TABLE rows AS SELECT i, i AS j, 'x' || i AS text FROM range(1_500_000) AS t (i)")
        for _ in range(2):
            assert con.execute("SELECT sum(i), sum(j), min(text) FROM rows").fetchall()[0][2] == "x0"
        assert con.execute("SELECT count(*) FROM duckdb_temporary_files()").fetchall() == [(0,)]


@on_both
async def test_ledger_is_loaded_unchanged(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows of the mappings are loaded with their text as it is, whatever it looks like, and NULL as NULL."""
    monkeypatch.setattr(workspaces, "LINES", 2)
    monkeypatch.setattr(workspaces, "ROW_GROUP", 5)
    one = await add_mapping(database)
    other = await add_mapping(database, one.connection_id)
    third = await add_mapping(database, await add_connection(database, name="Third"))
    texts = ['"', 'a"",""b', "a,b", "a\nb", "a\r\nb", "null", "NULL", "0042", "1e5", "true", "\\N", "ünï🙂", " a "]
    texts += ["],[", "\\", '\\"', "a\tb", "[0]", "]"]
    expected: list[Entry] = [(one.id, text, text, f"{text}2", True) for text in texts]
    expected += [(one.id, "no email", None, "c1", False), (other.id, "no user id", "a@example.com", None, True)]
    async with database.write() as db:
        for mapping_id, key, email, user_id, is_confirmed in [*expected, (third.id, "1", None, "c2", True)]:
            await ledger.upsert(db, mapping_id, [BatchEntry("a", key, email, user_id)], certain=is_confirmed)
    async with workspace(tmp_path / "data", "run", 100) as con:
        await load_ledger(con, database, [one.id, other.id])
        assert sorted(con.execute("SELECT * FROM ledger").fetchall()) == sorted(expected)


async def test_dates_without_a_time_zone_are_in_utc(tmp_path: Path) -> None:
    """The time zone of the machine does not decide which moment a date in a file is."""
    async with workspace(tmp_path / "data", "run", 100) as con:
        assert con.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
