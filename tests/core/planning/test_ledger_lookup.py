"""A small change reads few rows of the ledger, with the same result as reading all."""

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.batch import Phase, decode
from core.models.run import SyncMode
from core.planning import ledger_lookup
from core.planning.batching import iter_drafts, prepare
from core.planning.diff import diff_against_ledger
from core.planning.ledger_lookup import load_relevant_ledger
from core.planning.schema import TABLES, create
from core.planning.workspace import insert as put
from core.planning.workspace import workspace
from core.store import connections, mappings, tables
from core.store.database import Database
from tests.core.databases import sampled

ROWS, CHANGES = 300, 12


@pytest.fixture
async def mapping_ids(database: Database) -> list[int]:
    """Two mappings to one list; the first is the run's."""
    async with database.write() as db:
        connection_id = await connections.add(
            db,
            name="Shop",
            api_key=b"",
            key_last4="",
            rate_limit_key="",
            data_center=DataCenter.US,
            user_id_field=UserIdField.MPID,
            requests_per_second=0,
        )
        return [
            await mappings.add(db, connection_id=connection_id, list_id=1, audience_id=None, audience_name=name)
            for name in ("One", "Two")
        ]


def _email(generator: random.Random) -> str | None:
    return None if generator.random() < 0.1 else f"e{generator.randrange(60)}@example.com"


def _identity(generator: random.Random, number: int) -> tuple[str | None, str | None]:
    email = _email(generator)
    user_id = str(number) if email is None or generator.random() < 0.7 else None
    return email, user_id


def _rows(generator: random.Random, mapping_ids: list[int]) -> list[dict[str, Any]]:
    by_key: dict[tuple[int, str], dict[str, Any]] = {}
    for _ in range(ROWS):
        mapping_id, number = generator.choice(mapping_ids), generator.randrange(80)
        email, user_id = _identity(generator, number)
        profile = generator.choice([str(number)] * 6 + [f"customer:{number}", f"email:{email}", f"former:{email}"])
        is_confirmed = email is not None and generator.random() < 0.9
        values = {
            "mapping_id": mapping_id,
            "member_key": profile,
            "email": email,
            "user_id": user_id,
            "is_confirmed": is_confirmed,
        }
        by_key[mapping_id, profile] = values
    return list(by_key.values())


async def _diff(
    database: Database, directory: Path, mapping_ids: list[int], members: dict[str, list[Any]], field: UserIdField
) -> tuple[Any, list[tuple[Phase, list[str]]]]:
    async with workspace(directory, "run", 100) as con:
        con.execute(create(*TABLES))
        put(con, "desired", members["desired"])
        put(con, "leavers", members["leavers"])
        await load_relevant_ledger(con, database, mapping_ids[0], mapping_ids)
        verdicts = diff_against_ledger(con, mapping_id=mapping_ids[0], field=field, mode=SyncMode.DELTA)
        present = prepare(con)
        batches = [
            (phase, sorted(map(str, decode(draft.members).entries)))
            for phase in Phase
            for draft in iter_drafts(con, phase)
        ]
        assert {phase for phase, _ in batches} <= set(present), "changes of a phase that was skipped"
        return verdicts, batches


@pytest.mark.parametrize("field", UserIdField)
@pytest.mark.parametrize("seed", sampled(range(15), 8))
async def test_same_changes_as_with_the_whole_ledger(
    tmp_path: Path,
    database: Database,
    mapping_ids: list[int],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    field: UserIdField,
) -> None:
    """The selected rows lead to the same changes as all rows of the list."""
    generator = random.Random(seed)
    async with database.write() as db:
        await db.execute(insert(tables.ledger), _rows(generator, mapping_ids))
    kinds = ["{}"] * 6 + ["customer:{}"]
    profiles = sorted({generator.choice(kinds).format(generator.randrange(80)) for _ in range(CHANGES)})
    desired, leavers = [], []
    for profile in profiles:
        email, user_id = _identity(generator, int(profile.removeprefix("customer:")))
        if generator.random() < 0.5:
            desired.append((profile, email or "last@example.com", user_id, True))
        else:
            leavers.append((profile, email, user_id, True, None if email or user_id else "no_identity"))
    members: dict[str, list[Any]] = {"desired": desired, "leavers": leavers}
    looked_up = await _diff(database, tmp_path, mapping_ids, members, field)
    monkeypatch.setattr(ledger_lookup, "MOST_LOOKED_UP", -1)
    assert looked_up == await _diff(database, tmp_path, mapping_ids, members, field)
