"""Planning a small file in Python. It reads the ledger, and the caller stores the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.identity import ProjectType
from core.models.run import Run, SyncMode
from core.planning.ledger_lookup import LedgerLookup, look_up
from core.planning.live_source import SourceRow
from core.planning.small_diff import DiffSettings, SmallDiff, compare
from core.planning.small_rejections import map_few, reject_forgotten, reject_suppressed, without_erased
from core.planning.workspace import LEDGER_CHUNK
from core.sources import Source
from core.store import last_known_emails, ledger
from core.store.database import Database
from core.store.erasures import SuppressionList
from core.store.ledger import Entry
from core.store.rejections import ERASED, Rejection

#: Up to so many members of a file and rows of the ledger, planning in Python takes less CPU than opening DuckDB. It
#: keeps the event loop busy for about 30 ms.
MOST_MEMBERS, MOST_LEDGER = 5_000, 10_000


@dataclass(frozen=True, slots=True)
class SmallPlan:
    """What a run would change: the comparison, who can't be synced, and how many members there are.

    `ledger_size` is how many people of the mapping are on the list, in a mirror; None: they were not read.
    """

    diff: SmallDiff
    rejected: Sequence[Rejection]
    members: int
    ledger_size: int | None


async def plan_small_file(
    database: Database,
    planned: Run,
    mode: SyncMode,
    mapping_ids: Sequence[int],
    rows: Sequence[SourceRow],
    source: Source,
    erased: SuppressionList | None,
    suppressed: SuppressionList | None,
    forgotten: tuple[Path | None, Path | None] | None,
) -> SmallPlan:
    """Plan the rows of a small file. `mapping_ids` are all mappings of the list, the others are as for `plan_run`."""
    mapping_id, field, project_type = planned.mapping_id, planned.user_id_field, planned.project_type
    kept = without_erased(rows, erased)
    members = map_few(kept, field, project_type, with_removals=mode is SyncMode.DELTA)
    last_known: dict[str, str] = {}
    async with database.read_rows() as db:
        if project_type is ProjectType.EMAIL and (keys := members.without_email):  # in others a user id is precise
            last_known = dict(await last_known_emails.find(db, mapping_id, keys))
        if mode is SyncMode.MIRROR:
            ledger_rows: list[Entry] = []
            async for chunk in ledger.rows_of(db, mapping_ids, LEDGER_CHUNK):
                ledger_rows += [(*row[:4], bool(row[4])) for row in chunk]
        else:
            lookup = LedgerLookup(members.identities(last_known), mapping_id, mapping_ids, project_type)
            await look_up(db, [lookup])
            ledger_rows = lookup.rows
    if forgotten is not None:
        reject_forgotten(members, ledger_rows, mapping_id, field, forgotten)
    if suppressed is not None:
        reject_suppressed(members, ledger_rows, mapping_id, field, suppressed)
    members.rejected += [Rejection(None, None, None, ERASED)] * (len(rows) - len(kept))
    settings = DiffSettings(mapping_id, field, project_type, mode, source.has_mpid)
    diff = compare(members, ledger_rows, last_known, settings)
    people = {email if email is not None else user_id for id_, _, email, user_id, _ in ledger_rows if id_ == mapping_id}
    return SmallPlan(
        diff=diff,
        rejected=members.ordered_rejections,
        members=sum(is_member for _, _, is_member, *_ in rows),
        ledger_size=len(people - {None}) if mode is SyncMode.MIRROR else None,
    )
