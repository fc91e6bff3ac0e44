"""Planning, second half: who is to be on the list, compared with who the ledger says is on it. Set-wise, in DuckDB.

Members are counted as profiles, but what is sent is decided on subscribers, because a list is a set of subscribers.
Two profiles may map to one subscriber, and two mappings may feed one list: a subscriber is taken off only when nobody
holds it any more, and is never taken off and put on again on the way.

A subscriber is its email: in an email-based Iterable project the email decides even where a user id is sent, and
whoever is subscribed here has one.
"""

from dataclasses import dataclass
from typing import Any

import duckdb

from core.identity import PLACEHOLDER_DOMAIN, UserIdField
from core.models.batch import FORMER_IDENTITY_PREFIX
from core.models.run import SyncMode

# Sources without mpids know members by customer id or email only. Where the ledger knows the same person under another
# key, that key is used, so that a removal finds who was added from a download.
_HAS_OTHER_KEYS = """
SELECT count(*) > 0 FROM (SELECT profile FROM desired UNION ALL SELECT profile FROM gone)
WHERE starts_with(profile, 'customer:') OR starts_with(profile, 'email:')
"""
_KNOWN_KEYS = """
CREATE TABLE known_keys AS
WITH given AS (
    SELECT profile, email, user_id FROM desired
    WHERE starts_with(profile, 'customer:') OR starts_with(profile, 'email:')
    UNION ALL
    SELECT profile, email, user_id FROM gone WHERE starts_with(profile, 'customer:') OR starts_with(profile, 'email:')
), unclaimed AS (
    SELECT profile, email, user_id FROM ledger WHERE mapping_id = $mapping_id
        AND profile NOT IN (SELECT profile FROM desired) AND profile NOT IN (SELECT profile FROM gone)
), candidates AS (
    SELECT g.profile, l.profile AS known, 0 AS preference FROM given AS g JOIN unclaimed AS l ON l.user_id = g.user_id
    UNION ALL
    SELECT g.profile, l.profile, 1 FROM given AS g JOIN unclaimed AS l ON l.email = g.email
), ranked AS (
    SELECT profile, known, row_number() OVER (PARTITION BY profile ORDER BY preference, known) AS nth FROM candidates
)
SELECT min(profile) AS profile, known FROM ranked WHERE nth = 1 GROUP BY known
"""
_USE_KNOWN_KEYS = """
UPDATE desired SET profile = known FROM known_keys WHERE known_keys.profile = desired.profile;
UPDATE gone SET profile = known FROM known_keys WHERE known_keys.profile = gone.profile;
"""

# `placed`: each member (`here`) beside what the ledger says of it, and those whom only the ledger knows.
_PLACED = """
CREATE TABLE placed AS
SELECT coalesce(d.profile, l.profile) AS profile, d.email, d.user_id, d.counted, d.profile IS NOT NULL AS here,
    l.profile IS NOT NULL AS known, l.email AS old_email, l.user_id AS old_user_id,
    coalesce(l.certain, false) AS certain,
    coalesce(l.certain AND l.email = d.email AND l.user_id IS NOT DISTINCT FROM d.user_id, false) AS same
FROM desired AS d FULL JOIN (SELECT * FROM ledger WHERE mapping_id = $mapping_id) AS l ON l.profile = d.profile
"""
_PLACED_FIRST_TIME = """
CREATE VIEW placed AS
SELECT *, true AS here, false AS known, NULL::VARCHAR AS old_email, NULL::VARCHAR AS old_user_id,
    false AS certain, false AS same
FROM desired
"""

# A mirror's leavers are those whom the ledger knows and the source does not.
_MIRROR_LEAVERS = """
INSERT INTO gone
SELECT profile, old_email, old_user_id, true, NULL FROM placed ANTI JOIN refused USING (profile)
WHERE NOT here AND NOT starts_with(profile, $former)
"""
# Former identities that a run which did not end has left in the ledger: nobody's, so they are not counted.
_FORMER_IDENTITIES = """
INSERT INTO gone
SELECT profile, old_email, old_user_id, false, NULL FROM placed ANTI JOIN gone USING (profile)
WHERE NOT here AND starts_with(profile, $former)
"""

# `followers`: of the profiles that share a subscriber all but one, and which one that is. Who is on the list under this
# very identity comes first, so that nothing changes for it; the order is total, so that two plans agree.
_FOLLOWERS = """
CREATE TABLE followers AS
SELECT profile, leader FROM (
    SELECT profile, first_value(profile) OVER shared AS leader FROM placed
    WHERE here AND hash(email) IN (SELECT hash(email) FROM desired GROUP BY ALL HAVING count(*) > 1)
    WINDOW shared AS (PARTITION BY email ORDER BY counted DESC, same DESC,
        coalesce(old_email = email, false) DESC, profile)
) WHERE profile <> leader
"""  # (hashes find the few that may be shared in a third of the memory; who shares is decided on the emails)

# `elsewhere`: subscribers of this run whom another mapping has put on the list, under the same user id.
_ELSEWHERE = """
CREATE TABLE elsewhere AS
SELECT DISTINCT l.email FROM ledger AS l SEMI JOIN desired AS d
ON d.email = l.email AND (d.user_id IS NULL OR d.user_id = l.user_id)
WHERE l.mapping_id <> $mapping_id AND l.certain
"""

# Of so many members what becomes of them is a table, and not a view: to plan the queries that look at it would take
# longer than to copy them.
MATERIALIZE_BELOW_ROWS = 10_000

# `judged`: what becomes of each member. A member whose former identity was a placeholder is renamed, so that no orphan
# stays behind (an interrupted rename leaves its row uncertain). A member whose subscriber another mapping has put
# on the list is held, not sent.
_JUDGED = """
CREATE {kind} judged AS
SELECT p.*, f.leader, CASE
        WHEN f.leader IS NOT NULL THEN 'follower'
        WHEN p.same THEN 'unchanged'
        WHEN e.email IS NOT NULL AND NOT coalesce(p.old_email <> p.email OR p.certain, {by_mpid} AND p.known)
            THEN 'held'
        WHEN p.known AND (p.certain OR p.old_email <> p.email OR (p.old_email IS NULL AND {by_mpid})) THEN 'update'
        ELSE 'add'
    END AS verdict,
    {by_mpid} AND p.known AND p.email <> p.profile || '@{placeholder}'
        AND coalesce(p.old_email = p.profile || '@{placeholder}', NOT p.certain) AS rename
FROM placed AS p LEFT JOIN followers AS f ON f.profile = p.profile LEFT JOIN elsewhere AS e ON e.email = p.email
WHERE p.here
"""

# `off`: identities that may have to leave the list: those of leavers (known to the ledger or not), and former ones. (Of
# an interrupted rename, which is not tried again where the User ID setting is another now, that is the placeholder.)
_KNOWN_LEAVERS = """
CREATE TABLE known_leavers AS
SELECT g.profile, l.email, l.user_id, g.counted FROM gone AS g JOIN ledger AS l ON l.profile = g.profile
WHERE l.mapping_id = $mapping_id
"""
_OFF = """
CREATE TABLE off AS
SELECT profile, email, user_id, true AS leaver, counted, true AS known FROM known_leavers
UNION ALL
SELECT profile, coalesce(g.email, a.email), user_id, true, counted, false
FROM (SELECT * FROM gone ANTI JOIN known_leavers USING (profile)) AS g LEFT JOIN addresses AS a USING (profile)
WHERE reason IS NULL
UNION ALL
SELECT profile, was, old_user_id, false, false, true FROM (
    SELECT *, coalesce(old_email, if(NOT certain AND old_user_id = profile, profile || '@{placeholder}', NULL)) AS was
    FROM judged)
WHERE was <> email AND NOT (rename AND verdict = 'update')
"""
_NOT_REMOVABLE = """
INSERT INTO refused SELECT profile, NULL, NULL, reason FROM gone ANTI JOIN known_leavers USING (profile)
WHERE reason IS NOT NULL
"""

# `holders`: who keeps such an identity on the list all the same: a member, another mapping, or a row of the ledger
# that this run does not touch.
_HOLDERS = """
CREATE TABLE holders AS
WITH keep AS (
    SELECT $mapping_id AS mapping_id, profile, email, user_id FROM desired
    UNION ALL
    SELECT mapping_id, profile, email, user_id FROM ledger WHERE mapping_id <> $mapping_id
    UNION ALL
    SELECT $mapping_id, profile, old_email, old_user_id FROM placed ANTI JOIN gone USING (profile) WHERE NOT here
), pairs AS (
    SELECT o.profile, k.mapping_id, k.profile AS holder FROM off AS o JOIN keep AS k ON k.email = o.email
    UNION ALL
    SELECT o.profile, k.mapping_id, k.profile FROM off AS o JOIN keep AS k ON k.user_id = o.user_id
    WHERE o.email IS NULL
)
SELECT profile, min(ROW(mapping_id, holder)) AS holder FROM pairs GROUP BY profile
"""
_NO_HOLDERS = """
CREATE TABLE holders AS SELECT NULL::VARCHAR AS profile, ROW($mapping_id, NULL::VARCHAR) AS holder LIMIT 0
"""

# `leaving`: identities that nobody holds, one leader for each subscriber (a leaver that counts, where there is one).
_LEAVING = """
CREATE TABLE leaving AS
SELECT o.*, first_value(o.profile) OVER one AS leader, row_number() OVER one AS nth
FROM off AS o ANTI JOIN holders USING (profile)
WINDOW one AS (PARTITION BY coalesce('e' || o.email, 'u' || o.user_id)
    ORDER BY (o.leaver AND o.counted) DESC, o.leaver DESC, o.profile)
"""

_VERDICTS = "SELECT verdict, count(*) FROM judged WHERE counted GROUP BY verdict"
_LEAVERS = """
SELECT
    (SELECT count(*) FROM gone WHERE counted),
    (SELECT count(*) FROM leaving WHERE leaver AND counted AND nth = 1),
    (SELECT count(*) FROM leaving WHERE leaver AND counted AND nth > 1)
        + (SELECT count(*) FROM off SEMI JOIN holders USING (profile) WHERE leaver AND counted)
"""


@dataclass(frozen=True, slots=True)
class DiffCounts:
    """How many members, each counted once, have which outcome before them."""

    left: int
    to_add: int
    to_update: int
    to_remove: int
    unchanged: int
    duplicates: int


def diff_against_ledger(
    con: duckdb.DuckDBPyConnection, *, mapping_id: int, field: UserIdField, mode: SyncMode, keys_are_known: bool = False
) -> DiffCounts:
    """Judge `desired` and `gone` against `ledger`; leaves the tables that `core.planning.batching` reads.

    `keys_are_known`: the profiles were taken from the ledger, so that none is there under another key.
    """
    this = {"mapping_id": mapping_id}
    if _one(con, "SELECT count(*) FROM ledger"):
        if not keys_are_known and _one(con, _HAS_OTHER_KEYS):
            con.execute(_KNOWN_KEYS, this)
            con.execute(_USE_KNOWN_KEYS)
        con.execute(_PLACED, this)
        if mode is SyncMode.MIRROR:
            con.execute(_MIRROR_LEAVERS, {"former": FORMER_IDENTITY_PREFIX})
        con.execute(_FORMER_IDENTITIES, {"former": FORMER_IDENTITY_PREFIX})
    else:
        con.execute(_PLACED_FIRST_TIME)
    con.execute(_FOLLOWERS)
    con.execute(_ELSEWHERE, this)
    by_mpid = "true" if field is UserIdField.MPID else "false"
    kind = "TABLE" if _one(con, "SELECT count(*) FROM placed") <= MATERIALIZE_BELOW_ROWS else "VIEW"
    con.execute(_JUDGED.format(kind=kind, placeholder=PLACEHOLDER_DOMAIN, by_mpid=by_mpid))
    con.execute(_KNOWN_LEAVERS, this)
    con.execute(_OFF.format(placeholder=PLACEHOLDER_DOMAIN))
    con.execute(_NOT_REMOVABLE)
    con.execute(_HOLDERS if _one(con, "SELECT count(*) FROM off") else _NO_HOLDERS, this)
    con.execute(_LEAVING)
    verdicts: dict[str, int] = dict(con.execute(_VERDICTS).fetchall())
    left, to_remove, held_leavers = con.execute(_LEAVERS).fetchall()[0]
    return DiffCounts(
        left=left,
        to_add=verdicts.get("add", 0),
        to_update=verdicts.get("update", 0),
        to_remove=to_remove,
        unchanged=verdicts.get("unchanged", 0),
        duplicates=verdicts.get("follower", 0) + verdicts.get("held", 0) + held_leavers,
    )


def _one(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    return con.execute(query).fetchall()[0][0]
