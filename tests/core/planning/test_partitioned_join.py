"""The join in parts has the rows of a single join, and leaves no files."""

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
    rows = [(mapping_id, key, f"{key}@{mapping_id}", None, mapping_id == 7) for mapping_id in (7, 8) for key in known]
    order.shuffle(rows)
    desired = [(key, None, f"user {key}", True) for key in order.sample(members, len(members))]
    async with workspace(tmp_path, "run", 100) as con:
        con.execute(create("desired", "shared_keys", "shared_user_ids", "changed_fields"))
        insert(con, "desired", desired)
        fill_ledger(con, rows)
        assert join_in_parts(con, JOIN, {"mapping_id": 7})
        joined = con.execute("SELECT * FROM joined ORDER BY ALL").fetchall()
        con.execute("CREATE VIEW known AS SELECT * FROM ledger WHERE mapping_id = 7")
        assert joined == con.execute(f"SELECT * FROM ({JOIN}) ORDER BY ALL").fetchall()
        assert not list((tmp_path / "work" / "run").glob("parts-*"))


async def test_small_audience_is_joined_at_once(tmp_path: Path) -> None:
    """Nothing happens for an audience that fits into memory."""
    async with workspace(tmp_path, "run", 100) as con:
        con.execute(create("desired", "shared_keys", "shared_user_ids", "changed_fields"))
        insert(con, "desired", [("1", None, "c1", True)])
        fill_ledger(con, [])
        assert not join_in_parts(con, JOIN, {"mapping_id": 7})
