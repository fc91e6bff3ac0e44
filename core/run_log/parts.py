"""The files of one run: its changes, its rejections and the run itself, each written in pieces of some thousand rows.

So memory does not grow with the run.
"""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.engine import Engine
from core.iterable.models import FailureReason
from core.models.batch import Operation, decode
from core.models.run import Run
from core.run_log.identities import Writer
from core.run_log.schema import CHANGES, REJECTIONS, RUNS, ChangeAction, ChangeOutcome
from core.store import batches, clock, connections, rejections
from core.store.batches import SentBatch
from core.store.mappings import is_new_list
from core.store.rejections import Rejection

# Batches (of up to 1,000 changes) in one row group, and members with reasons in one search.
BATCHES_A_GROUP = 20
ROWS_A_GROUP = 20_000
# Rejections in one row group. Each has long texts: 20,000 take some 30 MB more than 5,000, for files of the same size.
REJECTIONS_A_GROUP = 5_000

# The columns whose values are repeated. For the others, a dictionary takes memory and saves nothing.
_REPEATED = ("run_id", "action", "outcome", "reason", "iterable_says")
# A removal with these reasons is accepted (core/delivery/sender.py). A rejection of the same member is of another kind.
_REMOVED_ANYWAY = pa.array([FailureReason.NOT_FOUND.value, FailureReason.FORGOTTEN.value])
_ACTIONS = {
    Operation.ADD.value: ChangeAction.ADD.value,
    Operation.UPDATE.value: ChangeAction.UPDATE.value,
    Operation.REMOVE.value: ChangeAction.REMOVE.value,
}


async def write_changes(engine: Engine, run: Run, path: Path, write: Writer) -> int:
    """Write the changes that a run has sent to a file. Returns how many; if there are none, there is no file."""
    rejected = await _rejected(engine, run.id)
    count = after = 0
    with closing(_File(path, CHANGES)) as file:

        def append(sent: Sequence[SentBatch]) -> int:
            return file.write(_changes(run, sent, rejected, write))

        while True:
            async with engine.database.read() as db:
                sent = await batches.sent_members(db, run.id, limit=BATCHES_A_GROUP, after=after)
            if not sent:
                return count
            count += await asyncio.to_thread(append, sent)
            after = sent[-1].id


async def write_rejections(engine: Engine, run: Run, path: Path, write: Writer) -> int:
    """Write the members that a run has rejected to a file. Returns how many; if there are none, there is no file."""
    count = 0
    with closing(_File(path, REJECTIONS)) as file:

        def append(page: Sequence[Rejection]) -> int:
            return file.write(_rejections(run, page, write))

        async with engine.database.read_rows() as db:
            async for page in rejections.pages_of(db, run.id, REJECTIONS_A_GROUP):
                count += await asyncio.to_thread(append, page)
    return count


async def write_run(engine: Engine, run: Run, path: Path) -> int:
    """Write the row of a run to a file. Returns 1."""
    async with engine.database.read() as db:
        connection, now = await connections.by_id(db, run.connection_id), await clock.now(db)
    kept_s = min(engine.settings.changes_retention_s, engine.settings.rejections_retention_s)
    row = {
        **run.counters.model_dump(),
        "run_id": run.id,
        "connection": connection.label if connection is not None else "",
        "mapping_id": run.mapping_id,
        "list_id": None if is_new_list(run.list_id) else run.list_id,
        "audience": run.audience,
        "status": run.status.value,
        "mode": run.mode.value,
        "is_live": run.request.live,
        "undo_of": run.undo_of,
        "started_by": run.started_by,
        "created_at": _time(run.created_at),
        "started_at": _time(run.started_at),
        "finished_at": _time(run.finished_at),
        "requests": run.requests,
        "retries": run.retries,
        "throttled": run.throttled,
        "error_code": run.error_code,
        "error": run.error,
        "has_details": not (run.is_purged or now - (run.finished_at or now) > kept_s),
    }
    with closing(_File(path, RUNS)) as file:
        file.write(pa.Table.from_pylist([row], RUNS))
    return 1


class _Reasons(NamedTuple):
    """The keys of members that Iterable has rejected, and the reason for each."""

    keys: pa.Array
    reasons: pa.Array


class _File:
    """A Parquet file that is created with its first rows."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> int:
        """Append rows. Returns how many."""
        if table.num_rows:
            if self._writer is None:
                repeated = [name for name in _REPEATED if name in self._schema.names]
                self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd", use_dictionary=repeated)
            self._writer.write_table(table)
        return int(table.num_rows)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


async def _rejected(engine: Engine, run_id: str) -> list[_Reasons]:
    """Return the members that Iterable has rejected, and why, in pages: a search builds a table of one page at a time.

    A million takes some 30 MB.
    """
    pages = []
    of_iterable = [reason.value for reason in FailureReason]
    async with engine.database.read_rows() as db:
        async for rows in rejections.with_reasons(db, run_id, of_iterable, ROWS_A_GROUP):
            reasons = pa.array([reason for _, reason in rows], pa.string()).dictionary_encode()
            pages.append(_Reasons(pa.array([key for key, _ in rows], pa.string()), reasons))
    return pages


def _reasons_of(members: pa.Array, rejected: Sequence[_Reasons]) -> pa.Array:
    """Return for each member why Iterable has rejected it; null if it has not."""
    known = pa.nulls(len(members), pa.string())
    for page in rejected:
        indices = pc.index_in(members, value_set=page.keys)
        if indices.null_count < len(indices):
            known = pc.coalesce(known, pc.cast(page.reasons.take(indices), pa.string()))
    return known


def _changes(run: Run, sent: Sequence[SentBatch], rejected: Sequence[_Reasons], write: Writer) -> pa.Table:
    """Return the rows of some batches: one for each member that counts."""
    members, emails, user_ids, actions, outcomes, times = (list[Any]() for _ in range(6))
    for batch in sent:
        columns = decode(batch.members)
        places = [place for place, operation in enumerate(columns.ops) if operation in _ACTIONS]
        members += [columns.member_keys[place] for place in places]
        emails += [columns.emails[place] for place in places]
        user_ids += [columns.user_ids[place] for place in places]
        actions += [_ACTIONS[columns.ops[place]] for place in places]
        outcome = ChangeOutcome.ACCEPTED if batch.is_done else ChangeOutcome.UNKNOWN
        outcomes += [outcome.value] * len(places)
        at = _time(run.finished_at if batch.done_at is None else batch.done_at) if batch.is_done else None
        times += [at] * len(places)
    reason = _reasons_of(pa.array(members, pa.string()), rejected)
    is_removed = pc.equal(pa.array(actions, pa.string()), ChangeAction.REMOVE.value)
    reason = pc.if_else(pc.and_(is_removed, pc.is_in(reason, value_set=_REMOVED_ANYWAY)), None, reason)
    outcome_column = pc.if_else(pc.is_valid(reason), ChangeOutcome.REJECTED.value, pa.array(outcomes, pa.string()))
    values = {
        "run_id": pa.array([run.id] * len(members), pa.string()),
        "member": pa.array(write(members), pa.string()),
        "email": pa.array(write(emails), pa.string()),
        "user_id": pa.array(write(user_ids), pa.string()),
        "action": pa.array(actions, pa.string()),
        "outcome": outcome_column,
        "reason": reason,
        "changed_at": pa.array(times, CHANGES.field("changed_at").type),
    }
    return pa.table(values, schema=CHANGES)


def _rejections(run: Run, rows: Sequence[Rejection], write: Writer) -> pa.Table:
    values = {
        "run_id": [run.id] * len(rows),
        "member": write([row.member_key for row in rows]),
        "email": write([None if row.email is None else row.email.strip().lower() for row in rows]),
        "customer_id": write([row.customer_id for row in rows]),
        "reason": [row.reason for row in rows],
        "iterable_says": [row.words for row in rows],
    }
    return pa.table(values, schema=REJECTIONS)


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
