"""Small plannings happen in Python or in SQLite, and larger ones in DuckDB: all plan the same.

SQLite and DuckDB do it with the same statements.
"""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections.exclusions import digest_of_address
from core.identity import ProjectType, UserIdField
from core.iterable import DataCenter
from core.models.batch import BatchEntry, decode
from core.models.data_fields import MOBILE
from core.models.run import Run, RunRequest, SyncMode
from core.planning import partitioned_join, plan_run, publish_plan, small_workspace
from core.planning.approval_rules import PlanResult, had_approval
from core.planning.data_fields import FieldSettings
from core.planning.exclusions import ExclusionSettings
from core.planning.small_workspace import SmallWorkspace
from core.settings import WORK
from core.store import approvals, connections, erasures, field_values, lists, mappings, runs, tables
from core.store.batches import BatchStatus
from core.store.database import Database
from core.store.erasures import SuppressionList
from core.store.mappings import RemovalPolicy
from core.store.suppressions import KIND
from core.vault import Vault
from tests.core.databases import new_sqlite
from tests.core.harness import LIST, WALKS

# Few values, so that members share identities, and the ledger knows them under others.
NUMBERS = st.integers(0, 7)
EMAILS = st.one_of(
    NUMBERS.map("p{}@example.com".format),
    NUMBERS.map(" P{}@Example.com ".format),
    NUMBERS.map("{}@placeholder.email".format),
    st.sampled_from([None, "", "no address", "ä@exämple.com", "Ä@EXÄMPLE.com", "it's;--@example.com"]),
)
CUSTOMER_IDS = st.one_of(NUMBERS.map("c{}".format), NUMBERS.map(str), st.sampled_from([None, "", " ", "é", "x" * 60]))
KEYS = st.one_of(NUMBERS.map(str), NUMBERS.map("customer:c{}".format), NUMBERS.map("email:p{}@example.com".format))
LEDGER_COLUMNS = ("mapping_id", "member_key", "email", "user_id", "is_confirmed")
SUPPRESSED = st.builds("{0}\np{1}@example.com\n{2}".format, KEYS, NUMBERS, st.sampled_from(["", "c1", "c2"]))
LEDGER_EMAILS = st.one_of(
    NUMBERS.map("p{}@example.com".format),
    NUMBERS.map("{}@placeholder.email".format),
    st.sampled_from([None, "ä@exämple.com"]),
)
LEDGER_IDS = st.one_of(NUMBERS.map("c{}".format), NUMBERS.map(str), st.none())
LEDGER_KEYS = st.one_of(KEYS, NUMBERS.map("former:p{}@example.com".format))

LedgerRow = tuple[str | None, str | None, bool]
# When the file of a situation was made, in seconds.
FILE_S = 1_594_167_374


@dataclass(frozen=True)
class Change:
    """A member that joins or leaves, with the identities in the message or row."""

    key: str
    joins: bool
    email: str | None
    customer_id: str | None
    hashed: int


@dataclass(frozen=True)
class LiveFields:
    """The values of members by key, the types of the fields in Iterable, and whose values were sent before."""

    values: dict[str, dict[str, str]]
    types: dict[str, str]
    sent_before: dict[str, str]
    """Members of the ledger by key, with the JSON that they were sent."""


@dataclass(frozen=True)
class Situation:
    """What is planned: the changes, what the ledger has, and the settings."""

    changes: list[Change]
    ledger: dict[tuple[bool, str], LedgerRow]
    field: UserIdField
    project_type: ProjectType
    mode: SyncMode | None
    policy: RemovalPolicy
    forgotten: frozenset[str]
    erased: frozenset[str]
    suppressed: frozenset[str]
    """Identities as `core.store.suppressions` has them."""
    merges: bool
    newer: dict[str, bool]
    """Members with a live change after the file was made, and whether it adds them."""
    later: dict[tuple[bool, str], LedgerRow] | None
    """The ledger when the run is planned again after its plan was approved; None: it is planned once."""
    is_quoted: bool = True
    """Whether the file has quotation marks, so that DuckDB reads it."""
    fields: LiveFields | None = None
    """The data fields that are sent with live changes; None: none are."""
    exclusions: ExclusionSettings | None = None
    """Who is kept off the list. People of the other mapping are, if it has any `mapping_ids`."""


VAULT = Vault(["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="])
CHOICES = {"Plan": "plan", MOBILE: "phoneNumber", "Born": "born"}
LIVE_VALUES = st.dictionaries(
    st.sampled_from([*CHOICES]),
    st.sampled_from(["tgold", "t7", "t+1 (5)", "t2020-01-02", "tnull", 'j["a"]', "l", "n", "t \u00c4"]),
)
LIVE_FIELDS = st.builds(
    LiveFields,
    st.dictionaries(KEYS, LIVE_VALUES, max_size=8),
    st.dictionaries(st.sampled_from(["plan", "born"]), st.sampled_from(["string", "long", "date", "?"])),
    st.dictionaries(KEYS, st.sampled_from(['{"plan":"gold"}', '{"born":null}']), max_size=4),
)
EXCLUSIONS = st.builds(
    ExclusionSettings,
    st.just("salt"),
    st.lists(NUMBERS.map("p{}@example.com".format).map(partial(digest_of_address, "salt")), max_size=2),
    st.lists(st.sampled_from(["exämple.com", "com", "ample.com", "placeholder.email"]), max_size=1),
    st.sampled_from([(), (1,)]),
)


def live_situations() -> st.SearchStrategy[Situation]:
    """Situations of live changes with data fields, exclusions, or both. No plan was approved before."""
    return st.builds(
        lambda situation, fields, exclusions: replace(
            situation, mode=None, later=None, merges=False, fields=fields, exclusions=exclusions
        ),
        situations(),
        st.one_of(st.none(), LIVE_FIELDS, LIVE_FIELDS),
        st.one_of(st.none(), EXCLUSIONS, EXCLUSIONS),
    )


def situations() -> st.SearchStrategy[Situation]:
    """Situations; `mode` is None for live changes."""
    change = st.builds(Change, KEYS, st.booleans(), EMAILS, CUSTOMER_IDS, st.sampled_from([0, 0, 0, 1, 2, 3]))
    identity = st.tuples(LEDGER_EMAILS, LEDGER_IDS, st.sampled_from([True, True, False]))
    ledgers = st.dictionaries(st.tuples(st.booleans(), LEDGER_KEYS), identity, max_size=14)
    return st.builds(
        Situation,
        st.lists(change, min_size=1, max_size=10, unique_by=lambda each: each.key),
        ledgers,
        st.sampled_from(UserIdField),
        st.sampled_from(ProjectType),
        st.sampled_from([None, None, SyncMode.MIRROR, SyncMode.DELTA]),
        st.sampled_from([RemovalPolicy.REMOVE, RemovalPolicy.REMOVE, RemovalPolicy.KEEP]),
        st.frozensets(NUMBERS.map("p{}@example.com".format), max_size=2),
        st.frozensets(NUMBERS.map("p{}@example.com".format), max_size=1),
        st.frozensets(
            st.builds("{0}\np{1}@example.com\n{2}".format, KEYS, NUMBERS, st.sampled_from(["", "c1", "c2"])), max_size=3
        ),
        st.booleans(),
        st.dictionaries(KEYS, st.booleans(), max_size=3),
        st.one_of(st.none(), st.none(), ledgers),
    )


class Planner:
    """A database in which situations are planned, each for two mappings of their own."""

    def __init__(self, database: Database, directory: Path) -> None:
        """Take the parts. No I/O."""
        self._database = database
        self._directory = directory

    async def planned(self, situation: Situation) -> Any:
        """Plan a situation. Returns the plan without its times, its batches, and its rejections."""
        run = await self._prepared(situation)
        forgotten = self._directory / "forgotten"
        forgotten.write_bytes(b"".join(sha256(email.encode()).digest() for email in situation.forgotten))
        result = await self._plan(run, situation, forgotten)
        if situation.later is not None:
            run = await self._approved(run, result, situation.later)
            result = await self._plan(run, situation, forgotten)
        async with self._database.read() as db:
            query = (
                select(
                    tables.batches.c.phase,
                    tables.batches.c.sent_size,
                    tables.batches.c.counted_size,
                    tables.batch_members.c.members,
                    tables.batches.c.id,
                )
                .join(tables.batch_members, tables.batch_members.c.batch_id == tables.batches.c.id)
                .where(tables.batches.c.run_id == run.id, tables.batches.c.status == BatchStatus.DRAFT.value)
                .order_by(tables.batches.c.id)
            )
            rows = (await db.execute(query)).all()
            fields = await field_values.of_batches(db, VAULT, [row.id for row in rows])
            stored = [
                (*row[:3], self._comparable(decode(row.members).entries, run), fields.get(row.id)) for row in rows
            ]
            rejected = select(tables.rejections).where(tables.rejections.c.run_id == run.id)
            rejections = Counter(tuple(row[2:]) for row in await db.execute(rejected))
        numbers = result.plan.model_dump(exclude={"source_at", "source_digest"})
        return numbers, result.plan.guards, result.mode, stored, rejections

    async def _plan(self, run: Run, situation: Situation, forgotten: Path) -> PlanResult:
        return await plan_run(
            self._database,
            self._directory,
            run,
            100,
            SuppressionList("salt", [erasures.digest("salt", "email", email) for email in situation.erased]),
            SuppressionList("salt", [erasures.digest("salt", KIND, identity) for identity in situation.suppressed]),
            forgotten=(forgotten, forgotten),
            merges=situation.merges,
            fields=self._field_settings(situation),
            exclusions=self._excluded(situation, run),
        )

    def _field_settings(self, situation: Situation) -> FieldSettings | None:
        return None if situation.fields is None else FieldSettings("salt", VAULT, CHOICES, situation.fields.types)

    def _excluded(self, situation: Situation, run: Run) -> ExclusionSettings | None:
        """Exclusions with the other mapping of the list, by its id."""
        chosen = situation.exclusions
        return None if chosen is None else replace(chosen, mapping_ids=[run.mapping_id + 1 for _ in chosen.mapping_ids])

    async def _approved(self, run: Run, result: PlanResult, later: dict[tuple[bool, str], LedgerRow]) -> Run:
        """Approve a plan, and discard it, because the ledger has changed."""
        async with self._database.write() as db:
            await runs.assign_worker(db, run.id, "one")
            await publish_plan(db, run, "one", result)
            await approvals.set_digest(db, run, result.plan, "digest", is_approved=True)
            await approvals.discard_plan(db, run.id)
            numbers = (run.mapping_id, run.mapping_id + 1)
            await db.execute(delete(tables.ledger).where(tables.ledger.c.mapping_id.in_(numbers)))
            await self._fill_ledger(db, numbers, later)
            stored = await runs.by_id(db, run.id)
        assert stored is not None
        assert had_approval(stored)
        return stored

    async def _fill_ledger(
        self, db: AsyncConnection, numbers: tuple[int, int], ledger: dict[tuple[bool, str], LedgerRow]
    ) -> None:
        rows = [
            dict(zip(LEDGER_COLUMNS, (numbers[is_other], key, *row), strict=True))
            for (is_other, key), row in ledger.items()
        ]
        if rows:
            await db.execute(insert(tables.ledger), rows)

    def _comparable(self, entries: list[BatchEntry], run: Run) -> list[BatchEntry]:
        """Entries with the first of the two mappings as number 0: they refer to mappings by id."""
        number = run.mapping_id
        return [
            entry._replace(extra=tuple(value - number if type(value) is int else value for value in entry.extra))
            for entry in entries
        ]

    async def _prepared(self, situation: Situation) -> Run:
        """Store the run, the ledger of its mapping and of another one, and the changes."""
        run_id = runs.new_id()
        async with self._database.write() as db:
            connection_id = await connections.add(
                db,
                name=run_id,
                api_key=b"",
                key_last4="",
                rate_limit_key="",
                data_center=DataCenter.US,
                user_id_field=situation.field,
                requests_per_second=0,
            )
            await lists.add(db, connection_id, LIST, "Members", None)
            ids = [
                await mappings.add(
                    db,
                    connection_id=connection_id,
                    list_id=LIST,
                    audience_id=None,
                    audience_name=name,
                    removal_policy=situation.policy,
                )
                for name in ("One", "Two")
            ]
            mapping = await mappings.by_id(db, ids[0])
            assert mapping is not None
            is_live = situation.mode is None
            request = RunRequest(
                path="" if is_live else str(self._file(situation, run_id)),
                live=is_live,
                mode=SyncMode.DELTA if is_live else situation.mode,
            )
            await runs.add(
                db,
                run_id=run_id,
                mapping=mapping,
                mode="delta",
                user_id_field=situation.field.value,
                rate=0,
                request=request,
            )
            await runs.change(db, run_id, project_type=situation.project_type)
            await self._fill_ledger(db, (ids[0], ids[1]), situation.ledger)
            if is_live:
                values = {} if situation.fields is None else situation.fields.values
                waiting = [
                    self._waiting(ids[0], run_id, each) | {"sealed_fields": self._sealed(values.get(each.key))}
                    for each in situation.changes
                ]
                await db.execute(insert(tables.inbox), waiting)
                await self._note_sent(db, ids[0], situation.fields)
            elif situation.newer:
                await mappings.change(db, ids[0], is_live=True)
                later = [Change(key, joins, None, None, 0) for key, joins in situation.newer.items()]
                rows = [self._waiting(ids[0], None, each) | {"event_ms": FILE_S * 1000 + 1} for each in later]
                await db.execute(insert(tables.inbox), rows)
            stored = await runs.by_id(db, run_id)
        assert stored is not None
        return stored

    def _sealed(self, values: dict[str, str] | None) -> str | None:
        return VAULT.encrypt(json.dumps(values)).decode() if values else None

    async def _note_sent(self, db: AsyncConnection, mapping_id: int, fields: LiveFields | None) -> None:
        """Store the digests of the data fields that were sent before."""
        for key, sent in ({} if fields is None else fields.sent_before).items():
            digest = sha256(f"salt{key}\n{sent}".encode()).hexdigest()[:32]
            of_member = (tables.ledger.c.mapping_id == mapping_id, tables.ledger.c.member_key == key)
            await db.execute(update(tables.ledger).where(*of_member).values(fields_digest=digest))

    def _waiting(self, mapping_id: int, run_id: str | None, change: Change) -> dict[str, Any]:
        return {
            "mapping_id": mapping_id,
            "member_key": change.key,
            "is_member": change.joins,
            "event_ms": 1,
            "email": change.email,
            "customer_id": change.customer_id,
            "hashed_fields": change.hashed,
            "pending_since": 1.0,
            "run_id": run_id,
        }

    def _file(self, situation: Situation, run_id: str) -> Path:
        """Write the changes as a table: with mpids, if all have one."""
        path = self._directory / run_id / "audience.csv"
        path.parent.mkdir()
        is_delta = situation.mode is SyncMode.DELTA
        lines = ["timestamp,mpid,email,customerid" + (",isadd" if is_delta else "")]
        for each in situation.changes:
            mpid = each.key if each.key.isdigit() else ""
            values = [str(FILE_S), mpid, each.email or "", each.customer_id or ""] + (
                [str(each.joins).lower()] if is_delta else []
            )
            lines.append(",".join(f'"{value}"' if situation.is_quoted else value for value in values))
        path.write_text("\n".join(lines) + "\n")
        return path


@contextmanager
def planning(directory: Path) -> Iterator[tuple[asyncio.Runner, Planner]]:
    """A planner on a new database, and what runs it."""
    with asyncio.Runner() as runner:
        database = Database(new_sqlite(directory / "data"))
        try:
            yield runner, Planner(database, directory)
        finally:
            runner.run(database.close())


def test_live_changes_are_planned_in_python_as_in_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With data fields and exclusions, the plan, the batches with their values, and the rejections are the same.

    Python needs no workspace, so DuckDB does not start.
    """
    with planning(tmp_path) as (runner, planner):
        work = tmp_path / WORK

        @settings(max_examples=5 * WALKS, suppress_health_check=list(HealthCheck), deadline=None)
        @given(live_situations())
        def check(situation: Situation) -> None:
            monkeypatch.setattr(small_workspace, "SMALL_MEMBERS", 1_000)
            shutil.rmtree(work, ignore_errors=True)
            work.touch()  # in the place of the directory of workspaces
            small = runner.run(planner.planned(situation))
            work.unlink()
            monkeypatch.setattr(small_workspace, "SMALL_MEMBERS", -1)
            assert small == runner.run(planner.planned(situation))

        check()


def test_both_workspaces_plan_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan, the batches with their order, and the rejections are the same, whatever plans them.

    DuckDB joins members and ledger at once, or in parts.
    """
    with planning(tmp_path) as (runner, planner):

        @settings(max_examples=6 * WALKS, suppress_health_check=list(HealthCheck), deadline=None)
        @given(situations(), st.sampled_from([1, 3, partitioned_join.PART]))
        def check(situation: Situation, part: int) -> None:
            monkeypatch.setattr(partitioned_join, "PART", part)
            monkeypatch.setattr(partitioned_join, "ROW_GROUP", 2)
            monkeypatch.setattr(small_workspace, "SMALL_MEMBERS", 1_000)
            small = runner.run(planner.planned(situation))
            monkeypatch.setattr(small_workspace, "SMALL_MEMBERS", -1)
            assert small == runner.run(planner.planned(situation))

        check()


async def test_thousands_of_plain_members_need_no_workspace(tmp_path: Path) -> None:
    """A plain file of more members than a small workspace takes is planned in Python, as DuckDB plans it."""
    members = range(1, small_workspace.SMALL_MEMBERS + 100)
    changes = [Change(str(each), each % 3 > 0, f"p{each}@example.com", f"c{each % 1_000}", 0) for each in members]
    ledger: dict[tuple[bool, str], LedgerRow] = {
        (each % 2 > 0, str(each)): (f"p{each // 2}@example.com", f"c{each}", True) for each in members
    }
    none: frozenset[str] = frozenset()
    settings_ = (UserIdField.CUSTOMER_ID, ProjectType.HYBRID, SyncMode.DELTA, RemovalPolicy.REMOVE)
    plain = Situation(changes, ledger, *settings_, none, none, none, False, {}, None, is_quoted=False)
    database = Database(new_sqlite(tmp_path / "data"))
    try:
        planner = Planner(database, tmp_path)
        (tmp_path / WORK).touch()  # in the place of the directory of workspaces
        planned = await planner.planned(plain)
        (tmp_path / WORK).unlink()
        assert planned == await planner.planned(replace(plain, is_quoted=True))
    finally:
        await database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM (SELECT 1 AS a) ANTI JOIN t USING (a)",
        "SELECT * FROM t ANTI JOIN (SELECT 1 AS a) AS others USING (a)",
        "SELECT * FROM t ANTI JOIN others ON (t.a = others.a)",
        "SELECT * FROM t WHERE a LIKE 'x'",
        "SELECT a / 2 FROM t",
        "SELECT a[1] FROM t",
        'SELECT "a" FROM t',
        "SELECT a::BIGINT FROM t",
        "SELECT length(a) FROM t",
        "SELECT format('{}', a) FROM t",
    ],
)
def test_what_sqlite_understands_differently_is_refused(statement: str) -> None:
    """A statement that SQLite would execute with another meaning raises an error instead."""
    workspace = SmallWorkspace()
    workspace.execute("CREATE TABLE t (a VARCHAR); CREATE TABLE others (a VARCHAR)")
    with pytest.raises(ValueError, match=r"SQLite does not have this|needs USING"):
        workspace.execute(statement)
    workspace.close()


def test_functions_are_the_same() -> None:
    """Functions that planning calls yield the same in both, also for letters and spaces that are not ASCII."""
    texts = ["ΣΑΣ İ\u00a0", "\u3000\tÄẞ\u2003", " A ", "", None, 'é"\\\n\x01']
    small = SmallWorkspace()
    query = "SELECT lower($a), trim($a), sha256($a), starts_with($a, ' '), ends_with($a, ' ')"
    with duckdb.connect() as con:
        for text in texts:
            assert small.execute(query, {"a": text}).fetchall() == con.execute(query, {"a": text}).fetchall()
            quoted = [database.execute("SELECT to_json($a)", {"a": text}).fetchall()[0][0] for database in (small, con)]
            assert text is None or json.loads(quoted[0]) == json.loads(quoted[1]) == text
    small.close()


def test_joins_are_the_same() -> None:
    """Semi, anti and full joins yield the same rows in both, also with NULL on either side."""
    tables_ = "CREATE TABLE a (k VARCHAR, x VARCHAR); CREATE TABLE b (k VARCHAR, y VARCHAR);"
    rows = "INSERT INTO a VALUES ('1', 'p'), ('2', 'q'), (NULL, 'r'); INSERT INTO b VALUES ('2', 's'), (NULL, 't');"
    small = SmallWorkspace()
    with duckdb.connect() as con:
        for database in (small, con):
            database.execute(tables_ + rows)
        for query in (
            "SELECT a.x FROM a SEMI JOIN b USING (k)",
            "SELECT a.x FROM a ANTI JOIN b USING (k)",
            "SELECT a.x FROM a SEMI JOIN b ON (b.k = a.k AND b.y <> a.x)",
            "SELECT a.x, b.y FROM a FULL JOIN b ON (b.k = a.k) WHERE a.k IS NOT NULL OR b.k IS NOT NULL",
        ):
            assert Counter(small.execute(query).fetchall()) == Counter(con.execute(query).fetchall()), query
    small.close()
