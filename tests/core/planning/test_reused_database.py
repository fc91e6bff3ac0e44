"""A database in memory that is used again is as empty as a new one, whatever was made in it before."""

import sqlite3

import pytest

from core.planning.reused_database import ROWS_A_STATEMENT, ReusedDatabase, open_database


def opened_again(*statements: str) -> tuple[ReusedDatabase, bool]:
    """Execute statements in a database, close it and open the next one. Returns that, and whether it is the same."""
    first = open_database(())
    for statement in statements:
        first.execute(statement, {})
    first.close()
    second = open_database(())
    return second, second is first


def test_the_same_tables_are_empty() -> None:
    """Tables that are made by the same statement as before are empty, and filled again by their query."""
    making = "CREATE TABLE numbers (value INTEGER)"
    copying = "CREATE TABLE copies AS SELECT value * $factor AS value FROM numbers"
    for factor in (2, 3):
        database = open_database(())
        database.execute(making, {})
        assert database.execute("SELECT count(*) FROM numbers", {}).fetchall() == [(0,)]
        database.insert("numbers", ("value",), [(value,) for value in range(ROWS_A_STATEMENT + 2)])
        database.execute(copying, {"factor": factor})
        copies = [value for (value,) in database.execute("SELECT value FROM copies", {})]
        assert copies == [factor * value for value in range(ROWS_A_STATEMENT + 2)]
        database.close()


def test_another_definition_replaces_the_former() -> None:
    """A name may stand for another table, or for a view, than in the use before."""
    filled = ("CREATE TABLE a (x VARCHAR)", "INSERT INTO a VALUES ('1')", "CREATE TABLE b AS SELECT x FROM a")
    database, is_same = opened_again(*filled)
    assert is_same
    database.execute("CREATE TABLE a (y VARCHAR)", {})
    database.execute("CREATE VIEW b AS SELECT y FROM a", {})
    database.execute("INSERT INTO a VALUES ('2')", {})
    assert database.execute("SELECT y FROM b", {}).fetchall() == [("2",)]
    database.close()
    database = open_database(())
    for statement in filled:
        database.execute(statement, {})
    assert database.execute("SELECT x FROM b", {}).fetchall() == [("1",)]
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        database.execute(filled[0], {})
    database.close()


@pytest.mark.parametrize("change", ["ALTER TABLE a ADD COLUMN y VARCHAR", "DROP TABLE a"])
def test_other_changes_end_the_use(change: str) -> None:
    """A database whose tables were changed in another way is not used again."""
    database, is_same = opened_again("CREATE TABLE a (x VARCHAR)", change)
    assert not is_same
    database.close()


def test_use_after_an_error() -> None:
    """If a table can't be filled, the next use can make the same tables, and they are empty."""
    statements = ("CREATE TABLE a (x BIGINT)", "CREATE TABLE b AS SELECT abs(x) AS y FROM a")
    database, is_same = opened_again(*statements)
    assert is_same
    database.execute(statements[0], {})
    database.insert("a", ("x",), [(-(2**63),)])
    with pytest.raises(sqlite3.OperationalError, match="integer overflow"):
        database.execute(statements[1], {})
    database.close()
    database = open_database(())
    for statement in statements:
        database.execute(statement, {})
    assert database.execute("SELECT count(*) FROM b", {}).fetchall() == [(0,)]
    database.close()
