"""Planning, first half: mapping members to subscribers, by the rule in core/identity.py.

Most members need only lower case and trimmed spaces (the patterns in core/identity.py say which), which DuckDB does.
Only the others pass through Python.
"""

from collections.abc import Sequence

from core.identity import (
    PLAIN_EMAIL_MAX_LENGTH,
    PLAIN_EMAIL_PATTERN,
    USER_ID_PATTERN,
    Profile,
    ProjectType,
    RejectionReason,
    Subscriber,
    UserIdField,
    resolve_for_removal,
    resolve_subscriber,
)
from core.planning.schema import create
from core.planning.small_workspace import SmallWorkspace
from core.planning.workspace import Workspace, insert
from core.sources.grouping import SHARED_ID_PREFIX
from core.store.inbox import CUSTOMER_ID_HASHED, EMAIL_HASHED

# Rows that pass through Python at once.
CHUNK = 10_000

# Members that have to pass through Python. Each pattern is matched once.
_IRREGULAR_MEMBERS = """
CREATE TABLE irregular_members AS
SELECT rowid AS row_number, profile, mpid, email, customer_id, {hashed} AS hashed FROM source
WHERE member AND NOT {plain}
"""
_LEAVE_PLAIN = "DELETE FROM source WHERE NOT member OR rowid IN (SELECT row_number FROM irregular_members)"
# The rest of `source` becomes `desired` without a copy.
_BECOME_DESIRED = """
ALTER TABLE source RENAME TO desired;
ALTER TABLE desired RENAME COLUMN profile TO member_key;
ALTER TABLE desired RENAME COLUMN member TO is_counted;
ALTER TABLE desired DROP COLUMN IF EXISTS hashed;
"""

# Rewrites the whole column, so it runs only if an address needs it.
_NORMALIZE_EMAILS = "ALTER TABLE desired ALTER COLUMN email TYPE VARCHAR USING lower(trim(email))"
_SOME_TO_NORMALIZE = "SELECT 1 FROM desired WHERE email <> lower(trim(email)) LIMIT 1"

# How the columns of `source` become `user_id`, and which values need no check in Python.
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


# Members that share a customer id with a member of another email: the id would stand for several people. A member
# without an email is rejected for that reason.
_REJECT_SHARED_IDS = f"""
INSERT INTO rejected SELECT profile, email, customer_id,
    if(email IS NULL AND NOT $by_user_id, '{RejectionReason.NO_EMAIL.value}',
        '{RejectionReason.SHARED_CUSTOMER_ID.value}')
FROM source WHERE starts_with(profile, '{SHARED_ID_PREFIX}');
"""
_FORGET_SHARED_IDS = f"DELETE FROM source WHERE starts_with(profile, '{SHARED_ID_PREFIX}')"


def map_members(
    con: Workspace,
    field: UserIdField,
    project_type: ProjectType = ProjectType.EMAIL,
    *,
    with_removals: bool,
    live: bool = False,
) -> None:
    """Turn `source` into the tables `desired`, `leavers` and `rejected`.

    `with_removals`: rows of members that have left the audience become leavers; otherwise they are ignored. `live`: the
    rows contain which identities are present only as hashes.
    """
    hashed = "hashed" if live or isinstance(con, SmallWorkspace) else "0"
    con.execute(create("leavers", "rejected", "last_known_emails", "previous_plan"))
    if with_removals:
        _map_leavers(con, field, project_type, hashed)
    if field is UserIdField.CUSTOMER_ID:
        con.execute(_REJECT_SHARED_IDS, {"by_user_id": project_type is ProjectType.USER_ID})
        con.execute(_FORGET_SHARED_IDS)
    if isinstance(con, SmallWorkspace):  # Python maps a few members sooner than the patterns are compiled
        con.execute(create("desired"))
        members = f"SELECT profile, mpid, email, customer_id, {hashed} FROM source WHERE member"
        _map_rows(con, members, field, project_type)
        return
    con.execute(_IRREGULAR_MEMBERS.format(hashed=hashed, plain=_is_plain(field, project_type)))
    con.execute(_LEAVE_PLAIN)
    con.execute(_BECOME_DESIRED)
    if con.execute(_SOME_TO_NORMALIZE).fetchone() is not None:
        con.execute(_NORMALIZE_EMAILS)
    con.execute(_USER_ID[field])
    irregular = "SELECT profile, mpid, email, customer_id, hashed FROM irregular_members"
    _map_rows(con, irregular, field, project_type)


def _is_plain(field: UserIdField, project_type: ProjectType) -> str:
    """Return the condition (SQL) of members that are sent as they are, but for lower case and spaces."""
    email = f"strlen(email) <= {PLAIN_EMAIL_MAX_LENGTH} AND regexp_full_match(email, '{PLAIN_EMAIL_PATTERN}')"
    if project_type is not ProjectType.USER_ID:
        return f"coalesce({email} AND {_PLAIN_USER_ID[field]}, false)"
    user_id = "customer_id" if field is UserIdField.CUSTOMER_ID else "mpid"
    return f"coalesce((email IS NULL OR ({email})) AND {user_id} IS NOT NULL AND {_PLAIN_USER_ID[field]}, false)"


#: Member key, mpid, email, customer id, hashed identities.
_Identities = tuple[str, int | None, str | None, str | None, int]


def _map_rows(con: Workspace, query: str, field: UserIdField, project_type: ProjectType) -> None:
    rows = con.cursor().execute(query)
    while chunk := rows.fetchmany(CHUNK):
        _insert_members(con, chunk, field, project_type)


def _insert_members(con: Workspace, rows: Sequence[_Identities], field: UserIdField, project_type: ProjectType) -> None:
    desired, rejected = [], []
    for profile, mpid, email, customer_id, hashes in rows:
        outcome = resolve_subscriber(_profile(mpid, email, customer_id, hashes), field, project_type)
        if isinstance(outcome, Subscriber):
            desired.append((profile, outcome.email, outcome.user_id, True))
        else:
            rejected.append((profile, email, customer_id, outcome.value))
    insert(con, "desired", desired)
    insert(con, "rejected", rejected)


def _map_leavers(con: Workspace, field: UserIdField, project_type: ProjectType, hashed: str) -> None:
    rows = con.cursor().execute(f"SELECT profile, mpid, email, customer_id, {hashed} FROM source WHERE NOT member")
    while chunk := rows.fetchmany(CHUNK):
        _insert_leavers(con, chunk, field, project_type)


def _insert_leavers(con: Workspace, rows: Sequence[_Identities], field: UserIdField, project_type: ProjectType) -> None:
    leavers: list[tuple[str, str | None, str | None, bool, str | None]] = []
    for profile, mpid, email, customer_id, hashes in rows:
        outcome = resolve_for_removal(_profile(mpid, email, customer_id, hashes), field, project_type)
        if isinstance(outcome, Subscriber):
            leavers.append((profile, outcome.email, outcome.user_id, True, None))
        else:
            leavers.append((profile, None, None, True, outcome.value))
    insert(con, "leavers", leavers)


def _profile(mpid: int | None, email: str | None, customer_id: str | None, hashed: int) -> Profile:
    return Profile(mpid, email, customer_id, bool(hashed & EMAIL_HASHED), bool(hashed & CUSTOMER_ID_HASHED))
