"""Counting the people that a mapping has on its list, in the workspace."""

from pathlib import Path

import pytest

from core.planning import whole_ledger
from core.planning.whole_ledger import count_people
from core.planning.workspace import fill_ledger, workspace


@pytest.mark.parametrize("at_once", [1_000, 70], ids=["at once", "in parts"])
async def test_people_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Profiles with one address, or without an address and with one user id, are one person; others do not count."""
    monkeypatch.setattr(whole_ledger, "AT_ONCE", at_once)
    rows: list[tuple[object, ...]] = [(1, f"alone{n}", f"p{n}@example.com", f"u{n}", True) for n in range(300)]
    rows += [(1, f"same{n}", f"p{n % 100}@example.com", f"v{n}", True) for n in range(200)]
    rows += [(1, f"user{n}", None, f"w{n % 10}", True) for n in range(30)]
    rows += [(1, "nothing", None, None, True), (2, "other", "other@example.com", None, True)]
    async with workspace(tmp_path, "run", 100) as con:
        fill_ledger(con, rows)
        assert count_people(con, 1) == 310
        assert [name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()] == ["ledger"]
