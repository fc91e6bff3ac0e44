"""The file of rejected members, in a spreadsheet and back."""

import csv
from pathlib import Path

from bot.cli.rejected_csv import write
from core.reporting.rejection_reasons import explain
from core.store import rejections
from tests.core.harness import Sync

MPID = 1327484737295091692


async def test_rejects_go_through_a_spreadsheet_and_back(tmp_path: Path, sync: Sync) -> None:
    """A file of rejections keeps accents and long ids in a spreadsheet, and can be synced after correction."""
    path = tmp_path / "people.csv"
    path.write_text(f"mpid,email,customer_id\n{MPID},-josé,1234567890123456789\n-{MPID},ann@@example.com,00123\n")
    outcome = await sync.run(path)
    async with sync.engine.database.read_rows() as db:
        await write(tmp_path / "rejects.csv", rejections.of_run(db, outcome.run.id))

    content = (tmp_path / "rejects.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines()))
    assert {row["customer_id"] for row in rows} == {"'1234567890123456789", "'00123"}
    assert {row["what_to_do"] for row in rows} == {explain("invalid_email").remedy}

    corrected = content.decode().replace("'-josé", "jose@example.com").replace("@@", "@")
    (tmp_path / "rejects.csv").write_text(corrected, encoding="utf-8")
    corrected_run = await sync.run(tmp_path / "rejects.csv")

    assert corrected_run.counts == {"members": 2, "added": 2}
    assert sorted(sync.iterable.state.members(1001)) == [
        ("ann@example.com", "00123"),
        ("jose@example.com", "1234567890123456789"),
    ]
