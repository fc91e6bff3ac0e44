"""Member lookup: why a person is on a list or not, from Iterable, the ledger and the rejections."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import SyncError
from core.identity import ProjectType
from core.iterable import IterableClient, IterableUser
from core.iterable.retry import INTERACTIVE_RETRY
from core.models.batch import Operation
from core.store import audit_log, batches, ledger, lists, mappings, rejections
from core.store.audit_log import AuditAction
from core.store.connections import Connection
from core.store.forgotten_files import contains, files_of
from core.store.mappings import AudienceMapping

# Identities of a person that Iterable is asked for. The ledger may know one person under several.
MOST_ASKED = 6
# How long Iterable may take to answer, in seconds, while a person waits.
ANSWER_WITHIN_S = 15.0

_ADDED = {Operation.ADD, Operation.UPDATE, Operation.RESUBSCRIBE_UNCOUNTED, Operation.DUPLICATE, Operation.RETAIN}
_REMOVED = {Operation.REMOVE, Operation.UNSUBSCRIBE_FORMER, Operation.RELEASE}


@dataclass(frozen=True, slots=True)
class LastChange:
    """The last change of a person by a run of a mapping: put on the list, or taken off. `at`: seconds since 1970."""

    run_id: str
    at: float
    is_added: bool


@dataclass(frozen=True, slots=True)
class MemberFinding:
    """What is known about a person for one mapping.

    `identity` is the email and the user id in the ledger (None: not in the ledger), and `certain` is False if a request
    was sent and its answer was never received. `reason`, `run` and `when` (seconds since 1970) describe the last
    rejection, if there was one. `is_on_list` is what Iterable says now (None: it was not asked, or did not answer).
    `change` is the last change of the person that is kept, if there was one.
    """

    mapping: AudienceMapping
    list_name: str
    identity: tuple[str | None, str | None] | None
    certain: bool
    reason: str | None = None
    run: str | None = None
    when: float | None = None
    is_on_list: bool | None = None
    change: LastChange | None = None


@dataclass(frozen=True, slots=True)
class IterableAnswer:
    """What Iterable says about a person now. `fault` is a sentence if it could not be asked.

    `other_lists` are the ids of lists that no mapping feeds and the person is on. `is_forgotten`: the hash of an email
    is among those of forgotten people, as far as they were fetched; `is_perhaps_forgotten`: so is that of a user id,
    which Iterable hashes in lower case although user ids are case-sensitive.
    """

    connection: Connection
    is_known: bool = False
    fault: str | None = None
    other_lists: tuple[int, ...] = ()
    is_forgotten: bool = False
    is_perhaps_forgotten: bool = False


@dataclass(frozen=True, slots=True)
class MemberReport:
    """The findings about a person by mapping, and what Iterable says by connection."""

    findings: list[MemberFinding] = field(default_factory=list)
    answers: list[IterableAnswer] = field(default_factory=list)


async def look_up_member(
    engine: Engine, connections: Sequence[Connection], text: str, *, by: str, team_id: str | None
) -> MemberReport:
    """Look a person up by email, user id (customer id) or mpid, in these connections and in Iterable.

    Mappings that know nothing about the person, and whose list they are not on, are left out. The audit log records who
    looked someone up, but not the person. If Iterable can't be asked, the report says so.
    """
    wanted = text.strip()
    reports = await asyncio.gather(*(_in_connection(engine, connection, wanted) for connection in connections))
    report = MemberReport(
        [finding for findings, _ in reports for finding in findings], [answer for _, answer in reports]
    )
    async with engine.database.write() as db:
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.LOOKED_UP,
            subject="person",
            after={"connections": [connection.id for connection in connections], "found": len(report.findings)},
        )
    return report


async def _in_connection(
    engine: Engine, connection: Connection, wanted: str
) -> tuple[list[MemberFinding], IterableAnswer]:
    async with engine.database.read() as db:
        of_connection = {mapping.id: mapping for mapping in await mappings.of_connection(db, connection.id)}
        ledger_rows = await ledger.of_person(db, list(of_connection), wanted)
    known = {(row.email, row.user_id) for row in ledger_rows.values()}
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            users = await _ask(engine, connection, wanted, known)
        fault = None
    except TimeoutError:
        users, fault = [], "Iterable did not answer in time."
    except SyncError as error:
        users, fault = [], error.message
    on_lists = {list_id for user in users for list_id in user.list_ids}
    identities = known | {(user.email, user.user_id) for user in users}
    async with engine.database.read() as db:
        names = await lists.names(db, [connection.id])
        rejected = await rejections.of_person(db, list(of_connection), wanted)
        findings: list[MemberFinding] = []
        for mapping_id, mapping in of_connection.items():
            row = ledger_rows.get(mapping_id)
            # rejections from before the member was added are outdated
            last = rejected.get(mapping_id) if row is None else None
            is_on_list = None if fault is not None else mapping.list_id in on_lists
            change = await _last_change(db, mapping_id, {wanted, wanted.lower()}, identities)
            if change is not None and change.is_added and last is not None and change.run_id == last.run_id:
                change = None  # the run tried to add the person, and Iterable refused
            if row is None and last is None and change is None and not is_on_list:
                continue
            findings.append(
                MemberFinding(
                    mapping=mapping,
                    list_name=names.get((connection.id, mapping.list_id), f"list {mapping.list_id}"),
                    identity=(row.email, row.user_id) if row is not None else None,
                    certain=row is not None and row.is_confirmed,
                    reason=last.reason if last is not None else None,
                    run=last.run_id if last is not None else None,
                    when=last.at if last is not None else None,
                    is_on_list=is_on_list,
                    change=change,
                )
            )
    others = on_lists - {mapping.list_id for mapping in of_connection.values()}
    forgotten = await asyncio.to_thread(_forgotten, engine, connection, wanted, identities)
    return findings, IterableAnswer(connection, bool(users), fault, tuple(sorted(others)), *forgotten)


def _forgotten(
    engine: Engine, connection: Connection, wanted: str, identities: Iterable[tuple[str | None, str | None]]
) -> tuple[bool, bool]:
    """Return whether the hashes that were fetched last have one of the emails, and one of the user ids."""
    files = files_of(engine.settings.data_dir, connection)
    emails = {wanted, *(email for email, _ in identities if email is not None)}
    user_ids = {wanted, *(user_id for _, user_id in identities if user_id is not None)}
    return contains(files.emails, emails), contains(files.user_ids, user_ids)


async def _ask(
    engine: Engine, connection: Connection, wanted: str, known: Iterable[tuple[str | None, str | None]]
) -> list[IterableUser]:
    """Return the people that Iterable knows under what was typed, or under an identity in the ledger."""
    emails = {wanted.lower()} if "@" in wanted else set()
    by_user_id = connection.project_type is ProjectType.USER_ID  # there emails need not be unique
    is_email = "@" in wanted and connection.project_type in (None, ProjectType.EMAIL)  # user ids may have an "@", too
    user_ids = set() if is_email else {wanted}
    for email, user_id in known:
        if user_id is not None and (by_user_id or email is None):
            user_ids.add(user_id)
        elif email is not None:
            emails.add(email)
    async with engine.client(connection, retry_policy=INTERACTIVE_RETRY) as client:
        return await _users(client, sorted(emails)[:MOST_ASKED], sorted(user_ids)[:MOST_ASKED])


async def _users(client: IterableClient, emails: Collection[str], user_ids: Collection[str]) -> list[IterableUser]:
    answers = [await client.user_by_email(email) for email in emails]
    answers += [await client.user_by_id(user_id) for user_id in user_ids]
    return [user for user in answers if user is not None]


async def _last_change(
    db: AsyncConnection, mapping_id: int, typed: set[str], identities: Iterable[tuple[str | None, str | None]]
) -> LastChange | None:
    """Return the last change of a person with one of these member keys, emails or user ids."""
    values = typed | {value for identity in identities for value in identity if value is not None}
    keys = values | {f"customer:{value}" for value in values}
    for run_id, at, columns in await batches.newest_about(db, mapping_id, sorted(keys)):
        for op, member_key, email, user_id in zip(
            columns.ops, columns.member_keys, columns.emails, columns.user_ids, strict=True
        ):
            is_change = op in _ADDED or op in _REMOVED
            if is_change and (member_key in keys or email in values or (email is None and user_id in values)):
                return LastChange(run_id, at, op in _ADDED)
    return None
