"""The join in parts has the rows of a single join."""

import random
from pathlib import Path

import pytest

from core.planning import partitioned_join
from core.planning.partitioned_join import join_in_parts
from core.planning.schema import create
from core.planning.workspace import fill_ledger, insert, workspace

KEYS = ["'", "''", "~", "é", "🙂", "a\nb", "-1", "customer:1", "customer:2", *(str(number) for number in range(40))]
JOIN = """
SELECT coalesce(desired.member_key, known.member_key) AS member_key, desired.email, desired.user_id, desired.is_counted,
    desired.member_key IS NOT NULL, known.member_key IS NOT NULL, known.email, known.user_id, known.is_confirmed,
    false, false, false
FROM desired FULL JOIN known ON known.member_key = desired.member_key
"""


@pytest.mark.parametrize(
    ("members", "known"), [(KEYS, KEYS), (KEYS[::2], KEYS[::3]), (KEYS, ["5"]), ([], KEYS), (["~"] * 9, KEYS[:3])]
)
async def test_join_in_parts_is_the_join(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: list[str], known: list[str]
) -> None:
    """Also if a side is small, empty or in no order, and another mapping has the same members."""
    monkeypatch.setattr(partitioned_join, "PART", 4)
    monkeypatch.setattr(partitioned_join, "ROW_GROUP", 3)
    order = random.Random("rows")
    rows = _ledger(known)
    order.shuffle(rows)
    await _compare(tmp_path, order.sample(members, len(members)), rows)


@pytest.mark.parametrize("late", [(), ("-1", "~"), ("", "17", "2", "35", "é")])
async def test_members_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: tuple[str, ...]) -> None:
    """The same if members come in the order of their keys, as from a very large file, but for a few at the end."""
    monkeypatch.setattr(partitioned_join, "PART", 12)
    monkeypatch.setattr(partitioned_join, "ROW_GROUP", 2)
    monkeypatch.setattr(partitioned_join, "MOST_RANGES", 2)
    keys = sorted(set(KEYS) - set(late))
    await _compare(tmp_path, [*keys, *late], _ledger(keys[::2]))


def _ledger(keys: list[str]) -> list[tuple[int, str, str, None, bool]]:
    return [(mapping_id, key, f"{key}@{mapping_id}", None, mapping_id == 7) for mapping_id in (7, 8) for key in keys]


async def _compare(tmp_path: Path, members: list[str], rows: list[tuple[int, str, str, None, bool]]) -> None:
    """Join members with rows of the ledger in parts, and compare the result with that of a single join."""
    desired = [(key, None, f"user {key}", True) for key in members]
    async with workspace(tmp_path, "run", 100) as con:
        con.execute(create("desired", "shared_keys", "shared_user_ids", "changed_fields"))
        insert(con, "desired", desired)
        fill_ledger(con, rows)
        assert join_in_parts(con, JOIN, {"mapping_id": 7})
        joined = con.execute("SELECT * FROM joined ORDER BY ALL").fetchall()
        con.execute("CREATE VIEW known AS SELECT * FROM ledger WHERE mapping_id = 7")
        assert joined == con.execute(f"SELECT * FROM ({JOIN}) ORDER BY ALL").fetchall()


async def test_small_audience_is_joined_at_once(tmp_path: Path) -> None:
    """Nothing happens for an audience that fits into memory."""
    async with workspace(tmp_path, "run", 100) as con:
        con.execute(create("desired", "shared_keys", "shared_user_ids", "changed_fields"))
        insert(con, "desired", [("1", None, "c1", True)])
        fill_ledger(con, [])
        assert not join_in_parts(con, JOIN, {"mapping_id": 7})
