"""Personal data: find and delete all rows about one person."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import orjson
from sqlalchemy import ColumnElement, Select, Table, and_, delete, func, literal, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import COUNTED, FORMER_IDENTITY_PREFIX, BatchEntry, decode, encode, groups
from core.models.run import RunStatus
from core.store import field_values, rejections, runs
from core.store.batches import BatchStatus
from core.store.rejections import ERASED, Rejection
from core.store.tables import batch_members, batches, connections, inbox, last_known_emails, ledger, lists
from core.store.tables import mappings as mappings_table
from core.store.tables import rejections as rejections_table
from core.store.tables import runs as runs_table
from core.vault import Vault

# Ids in one statement.
IDS_A_STATEMENT = 1_000
# Batches searched at once: some 80 MB.
BATCHES_A_LOOK = 500


@dataclass(frozen=True, slots=True)
class DataSubject:
    """The identities of a person: profiles (member keys), emails in lower case, customer ids.

    `account_id` is the mParticle account that requests the erasure. The same customer id in another account is another
    person. "" means all accounts.
    """

    profiles: set[str]
    emails: set[str]
    customer_ids: set[str]
    account_id: str = ""

    @property
    def all_profiles(self) -> set[str]:
        """Profiles, and the keys of former identities."""
        return self.profiles | {FORMER_IDENTITY_PREFIX + email for email in self.emails}

    def is_named_by(self, entry: BatchEntry) -> bool:
        """Whether an entry of a batch is about the person."""
        _, profile, email, user_id, extra = entry
        return (
            profile in self.all_profiles
            or email in self.emails
            or (user_id in self.customer_ids and user_id != profile)  # (an mpid may look like a customer id)
            or any(value in self.emails for value in extra)
        )


async def known_as(db: AsyncConnection, person: DataSubject) -> DataSubject:
    """Return all identities of a person, from the rows that name any of them."""
    rows = [*await db.execute(select(ledger.c.member_key, ledger.c.email, ledger.c.user_id).where(_in_ledger(person)))]
    last_known = select(last_known_emails.c.member_key, last_known_emails.c.email, literal(None)).where(
        _in_last_known(person)
    )
    rows += await db.execute(last_known)
    rows += await db.execute(
        select(inbox.c.member_key, func.lower(inbox.c.email), inbox.c.customer_id).where(_in(inbox, person))
    )
    table = rejections_table
    rows += await db.execute(
        select(table.c.member_key, func.lower(table.c.email), table.c.customer_id).where(_in(table, person))
    )
    profiles, emails, customers = set(person.profiles), set(person.emails), set(person.customer_ids)
    for profile, email, customer_id in rows:
        profiles.update([profile] if profile and not profile.startswith(FORMER_IDENTITY_PREFIX) else [])
        emails.update([email.strip()] if email else [])
        customers.update([customer_id] if customer_id and customer_id != profile else [])
    return DataSubject(profiles, emails, customers, person.account_id)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that name a person: member keys by mapping id, and ids of rejections."""

    ledger: dict[int, list[str]]
    inbox: dict[int, list[str]]
    last_known: dict[int, list[str]]
    rejections: list[int]


async def rows_of(db: AsyncConnection, person: DataSubject) -> Rows:
    """Find the rows that name a person, except changes of runs. This scans whole tables."""
    named: dict[str, dict[int, list[str]]] = {}
    for table, condition in (
        (ledger, _in_ledger(person)),
        (inbox, _in(inbox, person)),
        (last_known_emails, _in_last_known(person)),
    ):
        by_mapping: defaultdict[int, list[str]] = defaultdict(list)
        for mapping_id, profile in await db.execute(select(table.c.mapping_id, table.c.member_key).where(condition)):
            by_mapping[mapping_id].append(profile)
        named[table.name] = by_mapping
    ids = select(rejections_table.c.id).where(_in(rejections_table, person))
    by_id = list((await db.execute(ids)).scalars())
    return Rows(named[ledger.name], named[inbox.name], named[last_known_emails.name], by_id)


async def erase(db: AsyncConnection, rows: Rows) -> dict[str, int]:
    """Delete these rows by their keys. Returns how many of each table.

    Rejections stay without their identities, because the numbers of a run have to add up.
    """
    touched = select(mappings_table.c.connection_id, mappings_table.c.list_id).where(
        mappings_table.c.id.in_(list(rows.ledger))
    )
    for connection_id, list_id in [*await db.execute(touched.distinct())]:
        await db.execute(  # makes earlier plans stale
            update(lists)
            .where(lists.c.connection_id == connection_id, lists.c.list_id == list_id)
            .values(ledger_revision=lists.c.ledger_revision + 1)
        )
    counts: dict[str, int] = {}
    for table, by_mapping in ((ledger, rows.ledger), (inbox, rows.inbox), (last_known_emails, rows.last_known)):
        counts[table.name] = 0
        for mapping_id, profiles in by_mapping.items():
            of_person = (table.c.mapping_id == mapping_id, table.c.member_key.in_(profiles))
            counts[table.name] += (await db.execute(delete(table).where(*of_person))).rowcount
    for begin in range(0, len(rows.rejections), IDS_A_STATEMENT):
        chunk = rejections_table.c.id.in_(rows.rejections[begin : begin + IDS_A_STATEMENT])
        await db.execute(update(rejections_table).where(chunk).values(member_key=None, email=None, customer_id=None))
    return {**counts, "rejections": len(rows.rejections)}


async def batches_with(db: AsyncConnection, person: DataSubject, after: int) -> tuple[list[int], int | None]:
    """Search the next batches whose id is above `after` for a person.

    Returns the ids of those that may name the person, and the last id searched (None: no more batches).
    """
    ids = select(batch_members.c.batch_id).where(batch_members.c.batch_id > after).order_by(batch_members.c.batch_id)
    bound = (await db.execute(ids.offset(BATCHES_A_LOOK - 1).limit(1))).scalar_one_or_none()
    needles = sorted(person.all_profiles | person.emails | person.customer_ids)
    position = func.instr if db.dialect.name == "sqlite" else func.strpos
    named = or_(
        literal(value=False), *(position(batch_members.c.members, orjson.dumps(n).decode()) > 0 for n in needles)
    )
    searched = select(batches.c.id).join(runs_table, runs_table.c.id == batches.c.run_id).where(_is_of_account(person))
    query = select(batch_members.c.batch_id).where(
        batch_members.c.batch_id > after, named, batch_members.c.batch_id.in_(searched)
    )
    if bound is not None:
        query = query.where(batch_members.c.batch_id <= bound)
    return list((await db.execute(query.order_by(batch_members.c.batch_id))).scalars()), bound


async def forget_in_batch(db: AsyncConnection, batch_id: int, person: DataSubject, vault: Vault) -> int:
    """Remove a person from a batch, unless a process is executing it. Returns how many entries were removed.

    `vault` opens data fields. A counted member that the run no longer sends counts as rejected, so that the numbers add
    up.
    """
    query = (
        select(batches.c.run_id, batches.c.phase, batches.c.status, batch_members.c.members, runs_table.c.status)
        .select_from(batches.join(batch_members, batch_members.c.batch_id == batches.c.id).join(runs_table))
        .where(batches.c.id == batch_id)
    )
    row = (await db.execute(query)).one_or_none()
    if row is None or (
        row.state in (BatchStatus.SENT.value, BatchStatus.DRAFT.value) and RunStatus(row.status).is_active
    ):
        return 0
    entries = decode(row.members).entries
    kept: list[BatchEntry] = []
    for group in groups(entries):
        if not person.is_named_by(group[0]):
            kept += [entry for entry in group if not person.is_named_by(entry)]
    removed = len(entries) - len(kept)
    if not removed:
        return 0
    await _store(db, batch_id, kept)
    fields = (await field_values.of_batches(db, vault, [batch_id])).get(batch_id, {})
    if fields:
        keys = {entry.member_key for entry in kept}
        await field_values.replace(db, vault, batch_id, {key: fields[key] for key in fields.keys() & keys})
    uncounted = sum(entry.op in COUNTED for entry in entries) - sum(entry.op in COUNTED for entry in kept)
    if uncounted and row.state in (BatchStatus.PLANNED.value, BatchStatus.SENT.value):
        await runs.change(db, row.run_id, rejected=runs_table.c.rejected + uncounted)
        await rejections.add(db, row.run_id, [Rejection(None, None, None, ERASED)] * uncounted)
    return removed


async def may_be_in_hand(db: AsyncConnection, person: DataSubject) -> bool:
    """Whether a run is in progress: it may hold the deleted data in memory and write it again."""
    is_in_progress = runs_table.c.status.in_([RunStatus.PLANNING.value, RunStatus.RUNNING.value])
    query = select(runs_table.c.id).where(is_in_progress, _is_of_account(person))
    return (await db.execute(query.limit(1))).first() is not None


async def _store(db: AsyncConnection, batch_id: int, entries: list[BatchEntry]) -> None:
    if not entries:
        await db.execute(delete(batches).where(batches.c.id == batch_id))
        return
    await db.execute(
        update(batches)
        .where(batches.c.id == batch_id)
        .values(sent_size=sum(1 for _ in groups(entries)), counted_size=sum(entry.op in COUNTED for entry in entries))
    )
    await db.execute(update(batch_members).where(batch_members.c.batch_id == batch_id).values(members=encode(entries)))


def _in_ledger(person: DataSubject) -> ColumnElement[bool]:
    named = or_(
        ledger.c.member_key.in_(_some(person.all_profiles)),
        ledger.c.email.in_(_some(person.emails)),
        and_(ledger.c.user_id.in_(_some(person.customer_ids)), ledger.c.user_id != ledger.c.member_key),
    )
    return and_(_is_in_scope(ledger, person), named)


def _in_last_known(person: DataSubject) -> ColumnElement[bool]:
    named = or_(
        last_known_emails.c.member_key.in_(_some(person.profiles)), last_known_emails.c.email.in_(_some(person.emails))
    )
    return and_(_is_in_scope(last_known_emails, person), named)


def _in(table: Table, person: DataSubject) -> ColumnElement[bool]:
    """Return the condition for rows of the inbox or the rejections that name a person."""
    columns = table.c
    named = or_(
        columns.member_key.in_(_some(person.all_profiles)),
        func.lower(func.trim(columns.email)).in_(_some(person.emails)),
        columns.customer_id.in_(_some(person.customer_ids)),
    )
    return and_(_is_in_scope(table, person), named)


def _is_in_scope(table: Table, person: DataSubject) -> ColumnElement[bool]:
    """Return the condition for rows of the requesting account, by their mapping or their run."""
    if not person.account_id:
        return true()
    if "run_id" in table.c and "mapping_id" not in table.c:
        return table.c.run_id.in_(select(runs_table.c.id).where(_is_of_account(person)))
    of_account = select(mappings_table.c.id).where(mappings_table.c.connection_id.in_(_connections(person)))
    return table.c.mapping_id.in_(of_account)


def _is_of_account(person: DataSubject) -> ColumnElement[bool]:
    """Return the condition for runs of the requesting account."""
    return runs_table.c.connection_id.in_(_connections(person)) if person.account_id else true()


def _connections(person: DataSubject) -> Select[tuple[int]]:
    return select(connections.c.id).where(connections.c.mparticle_account_id == person.account_id)


def _some(values: Collection[str]) -> list[str]:
    return sorted(values)
