"""Checks of a source's members: every row is accounted for, and members have not lost identities."""

from dataclasses import dataclass

from core.errors import NotAccountedForError
from core.identity import PLACEHOLDER_DOMAIN, RejectionReason
from core.models.batch import FORMER_IDENTITY_PREFIX
from core.planning.workspace import Workspace
from core.sources import Source

# Members that the ledger knows under the same email, and that have lost the identity that was sent as the user id. (A
# user id that equals the member key is an mpid, sent under another User ID setting: it is not lost.)
_LOST_USER_IDS = """
SELECT count(*) FROM joined
WHERE in_source AND in_ledger AND is_counted AND ledger_email = email AND ledger_user_id IS NOT NULL AND user_id IS NULL
    AND ledger_user_id <> member_key
"""
# Members that the ledger knows by an mpid, and the source only by another identity.
_LOST_MPIDS = f"""
SELECT count(*) FROM ledger_keys WHERE NOT starts_with(ledger_key, 'customer:')
    AND NOT starts_with(ledger_key, 'email:') AND NOT starts_with(ledger_key, '{FORMER_IDENTITY_PREFIX}')
"""
_LOST_EMAILS = f"""
SELECT count(*) FROM rejected JOIN ledger USING (member_key)
WHERE ledger.mapping_id = $mapping_id AND reason = '{RejectionReason.NO_EMAIL.value}'
    AND NOT ends_with(ledger.email, '@{PLACEHOLDER_DOMAIN}')
"""
# In a userID-based project.
_LOST_SUBSCRIBERS = f"""
SELECT count(*) FROM rejected JOIN ledger USING (member_key)
WHERE ledger.mapping_id = $mapping_id AND reason = '{RejectionReason.NO_USER_ID.value}'
"""


@dataclass(frozen=True, slots=True)
class IdentityProblems:
    """How many members have another member's customer id, and how many have lost an identity since the last run."""

    shared_customer_ids: int = 0
    lost_ids: int = 0
    lost_emails: int = 0


def check_rows(source: Source, profiles: int) -> None:
    """Raise NotAccountedForError unless the profiles and the merged rows add up to all rows of the source."""
    missing = source.rows - source.merged_rows - profiles
    if missing:
        raise NotAccountedForError(
            f"The numbers do not add up: of {source.rows:,} rows in {source.file_name}, {abs(missing):,} are not "
            "accounted for. Nothing has been sent. Report this with the run's id."
        )


def identity_problems(con: Workspace, mapping_id: int, source: Source) -> IdentityProblems:
    """Count the identity problems in the workspace, after the diff."""
    lost_mpids = 0
    if source.has_mpid:
        lost_mpids = _count(con, _LOST_MPIDS)
    shared = f"SELECT count(*) FROM rejected WHERE reason = '{RejectionReason.SHARED_CUSTOMER_ID.value}'"
    return IdentityProblems(
        shared_customer_ids=_count(con, shared),
        lost_ids=max(_count(con, _LOST_USER_IDS), lost_mpids, _count(con, _LOST_SUBSCRIBERS, mapping_id=mapping_id)),
        lost_emails=_count(con, _LOST_EMAILS, mapping_id=mapping_id),
    )


def _count(con: Workspace, sql: str, **values: int) -> int:
    return int(con.execute(sql, values).fetchall()[0][0])
