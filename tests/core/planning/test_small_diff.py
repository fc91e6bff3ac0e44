"""Few members are compared in Python: with the same result as the statements of the database."""

import asyncio
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.identity import ProjectType, UserIdField
from core.models.batch import BatchEntry, decode
from core.models.run import SyncMode
from core.planning import batching
from core.planning.diff import diff_against_ledger
from core.planning.identity_mapping import map_members
from core.planning.ledger_lookup import LedgerLookup
from core.planning.live_source import SourceRow, fill_source, live_source, mpid_of
from core.planning.member_account import identity_problems
from core.planning.plan_storage import rejections_of
from core.planning.small_diff import DiffSettings, compare
from core.planning.small_rejections import map_few, reject_forgotten, reject_suppressed, without_erased
from core.planning.small_workspace import SmallWorkspace
from core.planning.suppression import exclude_erased, reject_erased
from core.planning.suppression import reject_forgotten as reject_forgotten_in_database
from core.planning.suppression import reject_suppressed as reject_suppressed_in_database
from core.planning.workspace import fill_ledger, insert, scalar
from core.store import erasures
from core.store.erasures import SuppressionList
from core.store.ledger import Entry
from core.store.rejections import ERASED, Rejection
from core.store.suppressions import KIND
from tests.core.harness import WALKS
from tests.core.planning.test_small_workspace import (
    CUSTOMER_IDS,
    EMAILS,
    KEYS,
    LEDGER_EMAILS,
    LEDGER_IDS,
    LEDGER_KEYS,
    NUMBERS,
    SUPPRESSED,
)

OWN, OTHER = 2, 1


@dataclass(frozen=True)
class Situation:
    """The rows of a source, what the ledger has, and the settings."""

    rows: list[SourceRow]
    ledger: dict[tuple[int, str], tuple[str | None, str | None, bool]]
    settings: DiffSettings
    forgotten: frozenset[str]
    erased: frozenset[str]
    suppressed: frozenset[str]
    last_known: dict[str, str]

    @property
    def entries(self) -> list[Entry]:
        """The rows of the ledger."""
        return [(*key, *row) for key, row in self.ledger.items()]

    def erased_people(self) -> SuppressionList:
        """Who asked to be erased."""
        return SuppressionList("salt", [erasures.digest("salt", "email", each) for each in self.erased])

    def suppressed_people(self) -> SuppressionList:
        """The people that Iterable rejects for good."""
        return SuppressionList("salt", [erasures.digest("salt", KIND, each) for each in self.suppressed])


def rows() -> st.SearchStrategy[SourceRow]:
    """Rows of a source, live or of a file."""
    keys = st.one_of(KEYS, NUMBERS.map("shared:c{}".format))
    hashed = st.sampled_from([0, 0, 0, 1, 2, 3])
    return st.builds(lambda key, *rest: (key, mpid_of(key), *rest), keys, st.booleans(), EMAILS, CUSTOMER_IDS, hashed)


PEOPLE = NUMBERS.map("p{}@example.com".format)
SITUATIONS = st.builds(
    Situation,
    st.lists(rows(), min_size=1, max_size=10, unique_by=lambda row: row[0]),
    st.dictionaries(
        st.tuples(st.sampled_from([OWN, OWN, OTHER]), LEDGER_KEYS),
        st.tuples(LEDGER_EMAILS, LEDGER_IDS, st.sampled_from([True, True, False])),
        max_size=14,
    ),
    st.builds(
        DiffSettings,
        st.just(OWN),
        st.sampled_from(UserIdField),
        st.sampled_from(ProjectType),
        st.sampled_from([SyncMode.MIRROR, SyncMode.DELTA, SyncMode.DELTA, SyncMode.ADD]),
        st.booleans(),
    ),
    st.frozensets(PEOPLE, max_size=2),
    st.frozensets(PEOPLE, max_size=1),
    st.frozensets(SUPPRESSED, max_size=3),
    st.dictionaries(KEYS, PEOPLE, max_size=3),
)


def compared_in_database(situation: Situation, forgotten: Path) -> Any:
    """Compare with the statements of core/planning/sql, in SQLite."""
    settings_, con = situation.settings, SmallWorkspace()
    field, project_type = settings_.field, settings_.project_type

    async def reject() -> None:
        await exclude_erased(con, situation.erased_people())
        map_members(con, field, project_type, with_removals=settings_.mode is SyncMode.DELTA)
        insert(con, "last_known_emails", [*situation.last_known.items()])
        fill_ledger(con, situation.entries)
        await reject_forgotten_in_database(con, OWN, field, forgotten, forgotten)
        await reject_suppressed_in_database(con, OWN, field, situation.suppressed_people())
        await reject_erased(con)

    try:
        fill_source(con, situation.rows)
        asyncio.run(reject())
        counts = diff_against_ledger(con, mapping_id=OWN, field=field, mode=settings_.mode, project_type=project_type)
        replaced = scalar(con, "SELECT count(*) FROM removals WHERE NOT is_leaver AND position = 1")
        source = replace(live_source(0, has_fields=False), has_mpid=settings_.has_mpid)
        problems = identity_problems(con, OWN, source)
        drafts = [draft for phase in batching.prepare(con) for draft in batching.iter_drafts(con, phase)]
        return counts, replaced, problems, [comparable(each) for each in drafts], in_order(rejections_of(con))
    finally:
        con.close()


def compared_in_python(situation: Situation, forgotten: Path) -> Any:
    """Compare in Python."""
    settings_, entries = situation.settings, situation.entries
    kept = without_erased(situation.rows, situation.erased_people())
    with_removals = settings_.mode is SyncMode.DELTA
    members = map_few(kept, settings_.field, settings_.project_type, with_removals=with_removals)
    reject_forgotten(members, entries, OWN, settings_.field, (forgotten, forgotten))
    reject_suppressed(members, entries, OWN, settings_.field, situation.suppressed_people())
    members.rejected += [Rejection(None, None, None, ERASED)] * (len(situation.rows) - len(kept))
    diff = compare(members, entries, situation.last_known, settings_)
    drafts = [comparable(draft) for draft in diff.drafts]
    return diff.counts, diff.replaced, diff.problems, drafts, in_order(members.ordered_rejections)


def comparable(draft: Any) -> tuple[int, int, int, list[BatchEntry]]:
    """A batch with its entries instead of their JSON."""
    return draft.phase, draft.sent_size, draft.counted_size, decode(draft.members).entries


def in_order(rejected: list[Rejection]) -> list[str]:
    """Rejections in one order: a member may have two."""
    return sorted(map(repr, rejected))


def test_python_compares_as_the_database(tmp_path: Path) -> None:
    """Counts, replaced identities, problems, batches with their order, and rejections are the same."""
    file = tmp_path / "forgotten"

    @settings(max_examples=150 * WALKS, deadline=None)
    @given(SITUATIONS)
    def check(situation: Situation) -> None:
        file.write_bytes(b"".join(sha256(email.encode()).digest() for email in situation.forgotten))
        assert compared_in_python(situation, file) == compared_in_database(situation, file)

    check()


def test_no_other_row_of_the_ledger_matters(tmp_path: Path) -> None:
    """Without a whole audience, the rows that are looked up lead to the same batches as all rows."""
    file = tmp_path / "forgotten"
    file.touch()

    @settings(max_examples=100 * WALKS, deadline=None)
    @given(SITUATIONS.filter(lambda situation: situation.settings.mode is not SyncMode.MIRROR))
    def check(situation: Situation) -> None:
        settings_ = situation.settings
        with_removals = settings_.mode is SyncMode.DELTA
        members = map_few(situation.rows, settings_.field, settings_.project_type, with_removals=with_removals)
        identities = members.identities(situation.last_known)
        lookup = LedgerLookup(identities, OWN, (OWN, OTHER), settings_.project_type)
        keys = lookup.member_keys
        lookup.add(
            row for row in situation.entries if row[0] == OWN and (row[1] in keys or row[1].startswith("former:"))
        )
        while lookup.next_identities() is not None:
            lookup.add([row for row in situation.entries if lookup.concerns(row)])
        some = compare(members, lookup.rows, situation.last_known, settings_)
        members = map_few(situation.rows, settings_.field, settings_.project_type, with_removals=with_removals)
        assert some.drafts == compare(members, situation.entries, situation.last_known, settings_).drafts

    check()
