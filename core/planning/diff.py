"""The diff: who should be on the list, compared with who is on it according to the ledger. Set-wise, in DuckDB.

Profiles are counted, but changes are decided for subscribers, because a list is a set of subscribers. Two profiles may
map to one subscriber, and two mappings may feed one list. A subscriber is removed only if no member holds it, and is
never removed and added again in one run.

The type of the Iterable project decides what identifies a subscriber. In an email-based project the email does, even if
a user id is sent. In a userID-based project the user id does: two people may have one email, and a new email is an
update of the same user. In a hybrid project both are unique, so two identities that share an email or a user id are one
subscriber. In the table, "same" and "another" refer to the subscriber.

| in source? | in ledger?         | same identity?   | held by others?          | outcome                          |
|------------|--------------------|------------------|--------------------------|----------------------------------|
| yes        | any                | any              | by a member of this run  | duplicate: nothing is sent       |
| yes        | confirmed          | yes              | any                      | unchanged: nothing is sent       |
| yes        | no, or unconfirmed | -, or same       | by another mapping       | retained: the ledger records it  |
| yes        | no, or unconfirmed | -, or same       | no                       | add: subscribe                   |
| yes        | yes                | another          | any                      | update: former off, new on       |
| yes        | confirmed          | same, changed    | any                      | update: subscribe                |
| yes        | confirmed          | yes, new fields  | any                      | update: subscribe                |
| no         | any                | -                | no                       | removal: unsubscribe             |
| no         | any                | -                | by a member or a mapping | duplicate: the ledger deletes it |

("New fields": the member's data fields differ from those that were sent last. If they do, a member is not retained, but
added, so that Iterable gets them.)

(If the User ID is the mpid and the project is email-based, an unconfirmed member of the ledger is not retained, and a
member without an email there is an update: a rename of its placeholder may have been interrupted.)

The statements are in sql/diff.sql, the tables that they create in sql/schema.sql.
"""

from dataclasses import dataclass
from typing import Any

from core.identity import PLACEHOLDER_DOMAIN, ProjectType, UserIdField
from core.models.batch import FORMER_IDENTITY_PREFIX
from core.models.run import SyncMode
from core.planning.data_fields import find_changed
from core.planning.exclusions import exclude
from core.planning.partitioned_join import join_in_parts
from core.planning.schema import create, statements
from core.planning.small_workspace import SmallWorkspace
from core.planning.workspace import Workspace

# Up to this many members, the outcomes are a table: for few rows, copying costs less than queries over a view.
MATERIALIZE_BELOW_ROWS = 10_000

_RESEND = """
SELECT * REPLACE (if(outcome = 'unchanged', '{outcome}', outcome) AS outcome) FROM ({classify})
"""
_USE_PROJECT = {
    ProjectType.EMAIL: "use_email_based_project",
    ProjectType.USER_ID: "use_user_id_based_project",
    ProjectType.HYBRID: "use_hybrid_project",
}


@dataclass(frozen=True, slots=True)
class DiffCounts:
    """The number of members with each outcome. Each member counts once; `left` is the number of leavers."""

    left: int
    to_add: int
    to_update: int
    to_remove: int
    unchanged: int
    duplicates: int


def diff_against_ledger(
    con: Workspace,
    *,
    mapping_id: int,
    field: UserIdField,
    mode: SyncMode,
    project_type: ProjectType = ProjectType.EMAIL,
    keys_are_known: bool = False,
    merges: bool = False,
    salt: str | None = None,
    unchanged_as: str | None = None,
    exclusion_salt: str | None = None,
) -> DiffCounts:
    """Compare `desired` and `leavers` with `ledger`, and create the tables that `core.planning.batching` reads.

    `keys_are_known`: the member keys come from the ledger, so no member is in it under another key. `merges`: users may
    be merged. `salt` keys the digests of data fields; None: none are sent. `unchanged_as` is the outcome of members
    that are unchanged (add, update), if they are to be sent all the same. `exclusion_salt` keys the digests of excluded
    addresses; None: the mapping excludes no one.
    """
    diff = statements("diff.sql")
    mapping = {"mapping_id": mapping_id}
    placeholder = {"placeholder_domain": PLACEHOLDER_DOMAIN}
    con.execute(diff[_USE_PROJECT[project_type]])
    con.execute(diff["create_ledger_keys"])
    has_ledger = bool(_value(con, "SELECT count(*) FROM ledger"))
    if has_ledger and not keys_are_known and _value(con, diff["any_key_without_mpid"]):
        con.execute(diff["find_ledger_keys"], mapping)
        con.execute(diff["use_ledger_keys"])
    if exclusion_salt is not None:
        assert not isinstance(con, SmallWorkspace), "exclusions are planned in DuckDB"
        exclude(con, mapping_id, field, exclusion_salt)
    if salt is not None:
        find_changed(con, salt, keys_are_known=keys_are_known or not has_ledger)
    else:
        con.execute(create("changed_fields"))
    con.execute(diff["find_shared_keys"])
    con.execute(diff["find_shared_user_ids"], {"are_unique": project_type is ProjectType.HYBRID})
    # in SQLite, which keeps what it has parsed while tables are made by the same statements, all plans make the same
    is_small = isinstance(con, SmallWorkspace)
    if has_ledger or is_small:
        has_placeholders = field is UserIdField.MPID
        renames = {
            "renames": has_placeholders and project_type is ProjectType.EMAIL,
            "merges": has_placeholders and merges and project_type is ProjectType.HYBRID,
        }
        _join(con, diff, mapping | placeholder | renames, leaves_out_unchanged=unchanged_as is None)
        _add_leavers(con, diff, mode, has_fields=salt is not None)
    else:
        con.execute(diff["create_joined_without_ledger"])
    con.execute(diff["create_duplicate_profiles"])
    if project_type is ProjectType.HYBRID:
        con.execute(diff["create_duplicates_by_user_id"])
        con.execute(diff["add_duplicates_by_user_id"])
    con.execute(diff["create_on_list_by_other_mapping"], mapping)
    if is_small or mode is SyncMode.DELTA or _value(con, "SELECT count(*) FROM leavers"):
        con.execute(diff["create_merged"], mapping | {"any": mode is SyncMode.DELTA})
    else:
        con.execute(diff["create_empty_merged"])
    if salt is not None:
        con.execute(diff["send_changed_fields"])
    has_few = _value(con, "SELECT count(*) FROM joined") <= MATERIALIZE_BELOW_ROWS
    classify = diff["classify"]
    if unchanged_as is not None:
        classify = _RESEND.format(outcome=unchanged_as, classify=classify)
    con.execute(("CREATE TABLE classified AS " if has_few else "CREATE VIEW classified AS ") + classify)
    con.execute(diff["create_known_leavers"], mapping)
    con.execute(diff["create_removal_candidates"], placeholder)
    con.execute(diff["reject_unknown_leavers"])
    _find_retaining_rows(con, diff, mapping)
    con.execute(diff["create_removals"])
    return _counts(con, diff)


def _join(con: Workspace, diff: dict[str, str], values: dict[str, Any], *, leaves_out_unchanged: bool) -> None:
    """Create the table `joined` of members and rows of the ledger."""
    if isinstance(con, SmallWorkspace):
        con.execute(f"{diff['create_joined']}\n{diff['join']}", values)
        return
    join = f"{diff['join']}\n{diff['without_unchanged'] if leaves_out_unchanged else ''}"
    if not join_in_parts(con, join, values):
        con.execute(f"{diff['create_joined']}\n{join}", values)


def _add_leavers(con: Workspace, diff: dict[str, str], mode: SyncMode, *, has_fields: bool) -> None:
    former = {"former": FORMER_IDENTITY_PREFIX}
    if has_fields:
        con.execute(diff["mark_changed_fields"])
    if mode is SyncMode.MIRROR:
        con.execute(diff["add_mirror_leavers"], former)
    con.execute(diff["add_former_identities"], former)


def _find_retaining_rows(con: Workspace, diff: dict[str, str], mapping: dict[str, int]) -> None:
    if isinstance(con, SmallWorkspace) or _value(con, "SELECT count(*) FROM removal_candidates"):
        con.execute(diff["create_retained_by"], mapping)
    else:
        con.execute(diff["create_empty_retained_by"])


def _counts(con: Workspace, diff: dict[str, str]) -> DiffCounts:
    outcomes: dict[str, int] = dict(con.execute(diff["count_outcomes"]).fetchall())
    left_out = _value(con, diff["count_left_out"])
    left, to_remove, retained_leavers = con.execute(diff["count_leavers"]).fetchall()[0]
    return DiffCounts(
        left=left,
        to_add=outcomes.get("add", 0),
        to_update=outcomes.get("update", 0),
        to_remove=to_remove,
        unchanged=outcomes.get("unchanged", 0) + left_out,
        duplicates=outcomes.get("duplicate", 0) + outcomes.get("retained", 0) + retained_leavers,
    )


def _value(con: Workspace, query: str) -> Any:
    return con.execute(query).fetchall()[0][0]
