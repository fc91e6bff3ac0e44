"""Data fields in planning: which values members get, which can't be sent, and whose have changed.

The table `data_fields` has the JSON object that is sent for each member. Whether it has changed since the last sync is
decided by a digest, keyed with a random value of the installation: the ledger keeps no value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.identity import UserIdField
from core.iterable import FailureReason
from core.models.data_fields import FIELD_WORDS, DataFields, fields_text
from core.models.run import Run
from core.planning.field_types import FieldType, clash_words, types_of, value_of
from core.planning.ledger_lookup import MOST_LOOKED_UP
from core.planning.schema import create, statements
from core.planning.small_workspace import SmallWorkspace
from core.planning.workspace import Workspace, insert, run
from core.sources import Source
from core.sources.field_columns import TABLE
from core.sources.sql_expressions import literal
from core.store import ledger
from core.store.database import Database
from core.vault import Vault

if TYPE_CHECKING:
    import duckdb

# Digests that are copied from the ledger at once.
_CHUNK = 20_000
_CUSTOMER_ID = {UserIdField.CUSTOMER_ID: "user_id", UserIdField.MPID: "NULL::VARCHAR"}
_REJECT = """
INSERT INTO rejected SELECT member_key, email, {customer_id}, $reason
FROM desired SEMI JOIN rejection_words USING (member_key) WHERE is_counted
"""
_FORGET_REJECTED = """
DELETE FROM desired WHERE member_key IN (SELECT member_key FROM rejection_words);
DELETE FROM data_fields WHERE member_key IN (SELECT member_key FROM rejection_words);
"""


@dataclass(frozen=True, slots=True)
class StoredFields:
    """How data fields are stored: `salt` keys their digests, and `vault` encrypts values until they are sent."""

    salt: str
    vault: Vault


@dataclass(frozen=True, slots=True)
class FieldSettings(StoredFields):
    """What planning has to know of data fields: the mapping's choices, and the types of fields in the project."""

    choices: DataFields
    types: Mapping[str, str]


async def load_fields(
    con: Workspace,
    database: Database,
    settings: FieldSettings | None,
    source: Source,
    planned: Run,
    *,
    only_known: bool,
) -> tuple[str, ...]:
    """Fill `data_fields` from the values that the source has of the members in `desired`, and `ledger_digests`.

    Members with a value that the field can't take are moved to `rejected`. A cell without a value is left out, so
    Iterable keeps what it has. `only_known`: only the digests of members in the table `ledger` are needed.

    Returns notes for people, a sentence each; none if the run sends no data fields (`settings` is None).
    """
    if settings is None:
        return ()
    con.execute(create("data_fields", "rejection_words"))
    await load_digests(con, database, planned.mapping_id, only_known=only_known)
    if not source.has_fields:
        return (f"{source.file_name} has no columns besides identities, so no data fields are sent.",)
    assert not isinstance(con, SmallWorkspace), "data fields are planned in DuckDB"
    return await run(con, _load_values, con, settings, planned.user_id_field, infer=source.infers_types)


def _load_values(
    con: "duckdb.DuckDBPyConnection", settings: FieldSettings, field: UserIdField, *, infer: bool
) -> tuple[str, ...]:
    types = types_of(con, settings.choices, settings.types, infer=infer)
    names = list(settings.choices.values())
    columns, objects, clashes = [], [], []
    for index, (source, name, kind) in enumerate(zip(settings.choices, names, types, strict=True)):
        value, is_clash = value_of(f"f{index}", source, kind)
        columns += [f"{value} AS v{index}", f"coalesce({is_clash}, false) AS c{index}"]
        objects.append(f"{literal(_key(name))} || v{index}")
        words = f"{FIELD_WORDS} {name}: {clash_words(kind)}."
        clashes.append(f"WHEN c{index} THEN {literal(words)}")
    con.execute(f"CREATE TABLE typed_fields AS SELECT profile AS member_key, {', '.join(columns)} FROM {TABLE}")
    con.execute(f"DROP TABLE {TABLE}")
    any_clash = " OR ".join(f"c{index}" for index in range(len(names)))
    words_of_clash = f"CASE {' '.join(clashes)} END"
    con.execute(
        f"INSERT INTO rejection_words SELECT member_key, {words_of_clash} "
        f"FROM typed_fields SEMI JOIN desired USING (member_key) WHERE {any_clash}"
    )
    con.execute(
        "INSERT INTO data_fields SELECT member_key, '{' || fields || '}', NULL FROM "
        f"(SELECT member_key, concat_ws(',', {', '.join(objects)}) AS fields FROM typed_fields) "
        "SEMI JOIN desired USING (member_key) WHERE fields <> ''"
    )
    con.execute("DROP TABLE typed_fields")
    con.execute(_REJECT.format(customer_id=_CUSTOMER_ID[field]), {"reason": FailureReason.INVALID_DATA.value})
    con.execute(_FORGET_REJECTED)
    return notes_of(settings, types)


def notes_of(settings: FieldSettings, types: Sequence[FieldType]) -> tuple[str, ...]:
    """Return what a plan says about its data fields. `types` are those of the mapping's choices, in their order."""
    sent = f"Data fields sent: {fields_text(settings.choices)}."
    typed = zip(settings.choices.values(), types, strict=True)
    new = [f"{name} ({kind.words})" for name, kind in typed if name not in settings.types]
    if not new:
        return (sent,)
    return sent, f"New in Iterable, with the type that the first value gives for good: {', '.join(new)}."


def _key(name: str) -> str:
    return f'"{name}":'


async def load_digests(con: Workspace, database: Database, mapping_id: int, *, only_known: bool = False) -> None:
    """Fill `ledger_digests` with the digests of the data fields that were sent last to a mapping's members.

    `only_known`: those in the table `ledger` are enough.
    """
    con.execute(create("ledger_digests"))
    profiles = None
    if only_known:
        keys = f"SELECT member_key FROM ledger WHERE mapping_id = {mapping_id:d} LIMIT {MOST_LOOKED_UP + 1}"
        known = [key for (key,) in con.execute(keys).fetchall()]
        profiles = known if len(known) <= MOST_LOOKED_UP else None
    async with database.read_rows() as db:
        async for rows in ledger.field_digests(db, mapping_id, _CHUNK, profiles):
            await run(con, insert, con, "ledger_digests", [tuple(row) for row in rows])


def find_changed(con: Workspace, salt: str, *, keys_are_known: bool) -> None:
    """Create the table `changed_fields`: members whose data fields differ from those that were sent last."""
    diff = statements("diff.sql")
    if not keys_are_known:
        con.execute(diff["use_ledger_keys_of_fields"])
    con.execute(diff["digest_fields"], {"salt": salt})
    con.execute(diff["find_changed_fields"])
