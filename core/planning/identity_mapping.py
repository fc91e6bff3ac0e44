"""Planning, first half: members become subscribers, by the rule in core/identity.py.

Most members need at most lower case and no spaces (the patterns in core/identity.py say which), and stay inside DuckDB.
Only the others pass through Python.
"""

import duckdb
import pyarrow as pa

from core.identity import (
    PLAIN_EMAIL_MAX_LENGTH,
    PLAIN_EMAIL_PATTERN,
    USER_ID_PATTERN,
    Profile,
    Subscriber,
    UserIdField,
    resolve_for_removal,
    resolve_subscriber,
)
from core.planning.workspace import insert
from core.store.inbox import CUSTOMER_ID_HASHED, EMAIL_HASHED

# Rows taken through Python at once.
CHUNK = 10_000

# `desired`: who is to be on the list. `gone`: who the source says has left, with the identity that the profile
# carries, or the reason why it carries none. `refused`: who can't be synced, and why. `counted` is false for members
# that an earlier plan of the same run has counted already. `addresses`: the last known address of leavers who come
# without one (core/planning/last_known_emails.py). `formerly`: what such an earlier plan found in the ledger
# (`known`: anything at all), for those who are to be on the list and those who are to leave it.
_DESIRED_TABLE = "CREATE TABLE desired (profile VARCHAR, email VARCHAR, user_id VARCHAR, counted BOOLEAN);"
_OTHER_TABLES = """
CREATE TABLE gone (profile VARCHAR, email VARCHAR, user_id VARCHAR, counted BOOLEAN, reason VARCHAR);
CREATE TABLE refused (profile VARCHAR, email VARCHAR, customer_id VARCHAR, reason VARCHAR);
CREATE TABLE addresses (profile VARCHAR, email VARCHAR);
CREATE TABLE formerly (profile VARCHAR, known BOOLEAN, email VARCHAR, user_id VARCHAR, leaving BOOLEAN);
"""

_STRING = pa.string()
DESIRED = pa.schema([("profile", _STRING), ("email", _STRING), ("user_id", _STRING), ("counted", pa.bool_())])
GONE = pa.schema([*DESIRED, ("reason", _STRING)])
REFUSED = pa.schema([("profile", _STRING), ("email", _STRING), ("customer_id", _STRING), ("reason", _STRING)])
FORMERLY = pa.schema(
    [
        ("profile", _STRING),
        ("known", pa.bool_()),
        ("email", _STRING),
        ("user_id", _STRING),
        ("leaving", pa.bool_()),
    ]
)
TABLES = _DESIRED_TABLE + _OTHER_TABLES

# Members that have to pass through Python. The patterns are looked at once.
_OTHERS = """
CREATE TABLE others AS
SELECT rowid AS place, profile, mpid, email, customer_id, {hashed} AS hashed FROM source WHERE member AND NOT {plain}
"""
_LEAVE_PLAIN = "DELETE FROM source WHERE NOT member OR rowid IN (SELECT place FROM others)"
# What is left of `source` becomes `desired` as it is, without a copy.
_BECOME_DESIRED = """
ALTER TABLE source RENAME TO desired;
ALTER TABLE desired RENAME COLUMN member TO counted;
ALTER TABLE desired DROP COLUMN IF EXISTS hashed;
"""

# Rewrites a whole column, and only if some address needs it: the others are as they would be sent.
_NORMALIZE_EMAILS = "ALTER TABLE desired ALTER COLUMN email TYPE VARCHAR USING lower(trim(email))"
_SOME_TO_NORMALIZE = "SELECT 1 FROM desired WHERE email <> lower(trim(email)) LIMIT 1"

# How `user_id` follows from the columns of `source`, and which of its values need no look.
_USER_ID = {
    UserIdField.CUSTOMER_ID: """
ALTER TABLE desired DROP COLUMN mpid;
ALTER TABLE desired RENAME COLUMN customer_id TO user_id;
""",
    UserIdField.MPID: """
ALTER TABLE desired DROP COLUMN customer_id;
ALTER TABLE desired ALTER COLUMN mpid TYPE VARCHAR;
ALTER TABLE desired RENAME COLUMN mpid TO user_id;
""",
}
_PLAIN_USER_ID = {
    UserIdField.CUSTOMER_ID: f"(customer_id IS NULL OR regexp_full_match(customer_id, '{USER_ID_PATTERN}'))",
    UserIdField.MPID: "mpid IS NOT NULL",
}


def map_members(con: duckdb.DuckDBPyConnection, field: UserIdField, *, with_removals: bool, live: bool = False) -> None:
    """Make `source` the tables `desired`, `gone` and `refused`. Without removals, rows of who has left are passed over.

    Live ones say which identities there are only as hashes.
    """
    hashed = "hashed" if live else "0"
    con.execute(_OTHER_TABLES)
    if with_removals:
        _map_leavers(con, field, hashed)
    plain = (
        f"coalesce(strlen(email) <= {PLAIN_EMAIL_MAX_LENGTH} AND regexp_full_match(email, '{PLAIN_EMAIL_PATTERN}')"
        f" AND {_PLAIN_USER_ID[field]}, false)"
    )
    con.execute(_OTHERS.format(hashed=hashed, plain=plain))
    con.execute(_LEAVE_PLAIN)
    con.execute(_BECOME_DESIRED)
    if con.execute(_SOME_TO_NORMALIZE).fetchone() is not None:
        con.execute(_NORMALIZE_EMAILS)
    con.execute(_USER_ID[field])
    _map_others(con, field)


def _map_others(con: duckdb.DuckDBPyConnection, field: UserIdField) -> None:
    rows = con.cursor().execute("SELECT profile, mpid, email, customer_id, hashed FROM others")
    while chunk := rows.fetchmany(CHUNK):
        desired, refused = [], []
        for profile, mpid, email, customer_id, hashes in chunk:
            mapped = resolve_subscriber(_profile(mpid, email, customer_id, hashes), field)
            if isinstance(mapped, Subscriber):
                desired.append((profile, mapped.email, mapped.user_id, True))
            else:
                refused.append((profile, email, customer_id, mapped.value))
        insert(con, "desired", DESIRED, desired)
        insert(con, "refused", REFUSED, refused)


def _map_leavers(con: duckdb.DuckDBPyConnection, field: UserIdField, hashed: str) -> None:
    rows = con.cursor().execute(f"SELECT profile, mpid, email, customer_id, {hashed} FROM source WHERE NOT member")
    while chunk := rows.fetchmany(CHUNK):
        gone: list[tuple[str, str | None, str | None, bool, str | None]] = []
        for profile, mpid, email, customer_id, hashes in chunk:
            mapped = resolve_for_removal(_profile(mpid, email, customer_id, hashes), field)
            if isinstance(mapped, Subscriber):
                gone.append((profile, mapped.email, mapped.user_id, True, None))
            else:
                gone.append((profile, None, None, True, mapped.value))
        insert(con, "gone", GONE, gone)


def _profile(mpid: int | None, email: str | None, customer_id: str | None, hashed: int) -> Profile:
    return Profile(mpid, email, customer_id, bool(hashed & EMAIL_HASHED), bool(hashed & CUSTOMER_ID_HASHED))
