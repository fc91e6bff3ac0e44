"""Guards: limits beyond which a run needs approval.

Their messages appear in Slack and on the command line, so they mention neither buttons nor options.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.identity import ProjectType
from core.models.amounts import people
from core.models.data_fields import fields_text
from core.models.exclusions import exclusions_text, load
from core.models.percent import percent
from core.models.run import Guard, GuardName, PlanNumbers, RunRequest, SyncMode
from core.planning.member_account import IdentityProblems
from core.planning.source_guards import History, check_additions, check_age, check_size
from core.sources import Source
from core.sources.audience_ref import is_other_variant
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy, is_new_list

# Removals above this share of the mapping's members need approval, unless the mapping has a limit of its own ...
MASS_REMOVAL_SHARE = 0.20
# ... if the ledger contains more members than this.
MASS_REMOVAL_FROM = 100

# A source needs approval if more of its members than this share, or this number, have the customer id of another
# member.
SHARED_ID_SHARE, SHARED_ID_MOST = 0.01, 100
# A source needs approval if more of its members than this share have lost an identity since the last run.
VANISHED_SHARE = 0.01

NO_PROBLEMS = IdentityProblems()


@dataclass(frozen=True, slots=True)
class PlannedNumbers:
    """The numbers of a plan that guards check. `left` counts the members that the source marks as removed."""

    members: int
    left: int
    to_add: int
    to_remove: int
    ledger_size: int
    to_replace: int = 0
    """Former identities of members that stay: each leaves the list, and another joins it."""
    to_merge: int = 0
    """Profiles that may be merged in Iterable."""


def check_guards(
    mode: SyncMode,
    mapping: AudienceMapping,
    source: Source,
    numbers: PlannedNumbers,
    *,
    history: History,
    source_at: float | None,
    problems: IdentityProblems = NO_PROBLEMS,
) -> tuple[Guard, ...]:
    """Return the guards that a plan triggers, whether or not they were overruled in advance.

    If the mapping keeps leavers, an empty audience removes no one, so it does not trigger the guard for empty
    audiences.
    """
    guards = []
    members, ledger_size = numbers.members, numbers.ledger_size
    if mapping.status is MappingStatus.PROPOSED:
        guards.append(
            Guard(
                name=GuardName.NEW_MAPPING,
                message=_not_approved(mapping, source),
            )
        )
    would_empty_list = mode is SyncMode.MIRROR and members == 0 and mapping.removal_policy is not RemovalPolicy.KEEP
    if would_empty_list:
        guards.append(
            Guard(
                name=GuardName.EMPTY_AUDIENCE,
                message=f"The audience is empty: {source.file_name} has no one in it"
                + (f", and all {ledger_size:,} people synced before would be removed" if ledger_size else "")
                + ".",
            )
        )
    else:
        of_changes = check_removals(mapping, numbers.to_remove, ledger_size)
        of_changes += check_additions(mapping, to_add=numbers.to_add, ledger_size=ledger_size)
        of_changes += _check_replacements(mapping, numbers.to_replace, ledger_size)
        guards += of_changes or check_size(members + numbers.left, history)
    guards += check_age(source.file_name, source_at, history)
    if is_other_audience(mapping, source.audience_id, source.audience_name):
        guards.append(
            Guard(
                name=GuardName.OTHER_AUDIENCE,
                message=f"List {mapping.list_id} is kept equal to audience "
                f"{_named(mapping.audience_id, mapping.audience_name)}, and {source.file_name} is of audience "
                f"{_named(source.audience_id, source.audience_name)}, which would take its place.",
            )
        )
    guards += _check_identities(source, problems, members)
    guards += check_merges(numbers.to_merge)
    return tuple(guards)


def check_project_type(mapping: AudienceMapping, project_type: ProjectType) -> list[Guard]:
    """Return the guard of a mapping that was synced for another type of project: another identifier decides then."""
    if mapping.project_type in (None, project_type):
        return []
    message = (
        f"The Iterable project counts as {project_type.label} now, and list {mapping.list_id} was synced as one that "
        f"is {mapping.project_type.label}. Another identifier decides now who is the same person."
    )
    return [Guard(name=GuardName.PROJECT_TYPE, message=message)]


def not_overruled(guards: Sequence[Guard], request: RunRequest) -> tuple[Guard, ...]:
    """Return the guards that the request did not overrule in advance."""
    return tuple(guard for guard in guards if not _is_overruled(guard, request))


def _is_overruled(guard: Guard, request: RunRequest) -> bool:
    return request.allow_empty if guard.name is GuardName.EMPTY_AUDIENCE else request.approved


def changed_plan_guard(before: PlanNumbers, outside: int | None) -> Guard:
    """Return the guard of a plan that replaces one that was shown or approved before.

    `outside` is the number of its changes that were not approved; None if nothing was approved.
    """
    was = f"It was {before.to_add:,} to add, {before.to_update:,} to update and {before.to_remove:,} to remove."
    if before.to_merge:
        was += f" Up to {before.to_merge:,} profiles would have been merged."
    if outside is not None:
        was += f" {outside:,} of the changes now were not part of what was approved."
    return Guard(name=GuardName.CHANGED_PLAN, message=f"The plan changed since it was shown. {was}")


def _check_identities(source: Source, problems: IdentityProblems, members: int) -> list[Guard]:
    """Return guards if members have lost identities, or if a column does not contain the identity that it should."""
    guards = []
    shared = problems.shared_customer_ids
    if shared > min(SHARED_ID_SHARE * members, SHARED_ID_MOST):
        column = f"column {source.customer_id_column}" if source.customer_id_column else "customer id"
        message = (
            f"The {column} has the same value for several emails: {shared:,} of {members:,} addresses would be "
            "dropped. Is it the company?"
        )
        guards.append(Guard(name=GuardName.SHARED_CUSTOMER_ID, message=message))
    for lost, kept, name in (
        (problems.lost_ids, "email", "customer id or mpid"),
        (problems.lost_emails, "id", "email"),
    ):
        if lost > VANISHED_SHARE * members:
            message = (
                f"{lost:,} of {members:,} people kept their {kept} and lost their {name} since the last sync. The "
                "column may have been exported wrongly."
            )
            guards.append(Guard(name=GuardName.VANISHED_IDENTITIES, message=message))
    return guards


def check_merges(to_merge: int) -> list[Guard]:
    """Return the guard of a run that may merge profiles: that can't be undone, so it always needs approval."""
    if not to_merge:
        return []
    profiles = "1 profile" if to_merge == 1 else f"{to_merge:,} profiles"
    message = (
        f"Up to {profiles} in Iterable would be merged into another that has the person's address already. A merge "
        "can't be undone."
    )
    return [Guard(name=GuardName.PROFILE_MERGES, message=message)]


def adoption_guard(list_id: int, message: str) -> Guard:
    """Return the guard of a run that takes a list over. `message` says who is on it, in numbers."""
    return Guard(name=GuardName.ADOPTED_LIST, message=f"This takes list {list_id} over. {message}")


def repair_guard(list_id: int, *, to_add: int, to_remove: int) -> Guard:
    """Return the guard of a run that repairs a list: it always needs approval."""
    changes = f"{people(to_add)} who {_are(to_add)} missing on it would be added again"
    if to_remove:
        changes += f", and {to_remove:,} who {_are(to_remove)} not in the audience would be removed"
    return Guard(name=GuardName.REPAIR, message=f"This repairs list {list_id}: {changes}.")


def emptying_guard(list_id: int, *, to_remove: int, stays: int) -> Guard:
    """Return the guard of a run that takes everyone off a list: it always needs approval."""
    changes = f"{people(to_remove)} would leave the list, and the mapping would be deleted"
    if stays:
        changes += f"; {people(stays)} will stay because of another mapping or a shared profile"
    return Guard(name=GuardName.EMPTYING, message=f"This takes everyone off list {list_id}: {changes}.")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def undo_guard(undone: str, *, to_add: int, to_update: int, to_remove: int) -> Guard:
    """Return the guard of a run that undoes another: it always needs approval."""
    changes = f"{to_remove:,} would be taken off the list, {to_add:,} put back and {to_update:,} changed back"
    return Guard(name=GuardName.UNDO, message=f"This takes back what run {undone} did: {changes}.")


def is_other_audience(mapping: AudienceMapping, audience_id: str | None, audience_name: str | None) -> bool:
    """Return whether a source with this audience id and name belongs to another audience than the mapping's."""
    if None not in (mapping.audience_id, audience_id):
        return mapping.audience_id != audience_id or is_other_variant(mapping.audience_name, audience_name)
    mapped_name, source_name = _plain_name(mapping.audience_name), _plain_name(audience_name)
    return bool(mapped_name and source_name) and mapped_name != source_name


def _plain_name(name: str | None) -> str:
    """Return a name for comparison: file names of downloads lack blanks and punctuation."""
    return "".join(character for character in (name or "").casefold() if character.isalnum())


def check_removals(mapping: AudienceMapping, to_remove: int, ledger_size: int) -> list[Guard]:
    """Return the guard of a plan with many removals, or else that of a mapping whose removals need approval."""
    limit = MASS_REMOVAL_SHARE if mapping.max_removed_share is None else mapping.max_removed_share
    if ledger_size > MASS_REMOVAL_FROM and to_remove > limit * ledger_size:
        message = (
            f"{to_remove:,} of {ledger_size:,} people would be removed ({percent(to_remove / ledger_size)}), "
            f"more than {percent(limit)}."
        )
        return [Guard(name=GuardName.MASS_REMOVAL, message=message)]
    if mapping.removal_policy is RemovalPolicy.ASK and to_remove:
        message = f"{people(to_remove)} would be removed from list {mapping.list_id}, and this mapping asks each time."
        return [Guard(name=GuardName.REMOVALS, message=message)]
    return []


def _check_replacements(mapping: AudienceMapping, to_replace: int, ledger_size: int) -> list[Guard]:
    """Return the guard of a plan that gives many members another identity, which can restart journeys for them."""
    if ledger_size <= MASS_REMOVAL_FROM or to_replace <= MASS_REMOVAL_SHARE * ledger_size:
        return []
    message = (
        f"{to_replace:,} of {ledger_size:,} people would leave list {mapping.list_id} under the identity that they "
        "had until now, and join it again under another."
    )
    return [Guard(name=GuardName.MASS_REPLACEMENT, message=message)]


def _list(mapping: AudienceMapping) -> str:
    return "a new list, which is created then" if is_new_list(mapping.list_id) else f"list {mapping.list_id}"


def _not_approved(mapping: AudienceMapping, source: Source) -> str:
    if mapping.change_before is not None:
        return f"The mapping was changed: {changes_text(mapping)}{_fields(mapping)}."
    return f"First sync of {_audience(mapping, source)} to {_list(mapping)}{_fields(mapping)}{_exclusions(mapping)}."


def changes_text(mapping: AudienceMapping) -> str:
    """Return the settings of a mapping whose change waits for approval, in words, with those before."""
    before, parts = mapping.change_before or {}, []
    if "mode" in before:
        parts.append(f"its mode is {mapping.mode} (before: {before['mode']})")
    if "removal_policy" in before:
        now, was = _LEAVERS[mapping.removal_policy], _LEAVERS[RemovalPolicy(before["removal_policy"])]
        parts.append(f"people who leave the audience {now} (before: they {was})")
    if "exclusions" in before:
        was = exclusions_text(load(before["exclusions"])) or "no one"
        parts.append(f"it excludes {exclusions_text(mapping.exclusions) or 'no one'} (before: {was})")
    return "; ".join(parts)


_LEAVERS = {
    RemovalPolicy.REMOVE: "leave the list",
    RemovalPolicy.ASK: "leave the list after an approval each time",
    RemovalPolicy.KEEP: "stay on the list",
}


def _exclusions(mapping: AudienceMapping) -> str:
    return f", without {exclusions_text(mapping.exclusions)}" if mapping.exclusions else ""


def _fields(mapping: AudienceMapping) -> str:
    if mapping.fields:
        return f", with the data fields {fields_text(mapping.fields)}"
    return ", without data fields" if mapping.fields_before else ""


def _audience(mapping: AudienceMapping, source: Source) -> str:
    name = mapping.audience_name or source.audience_name or mapping.audience_id or source.audience_id
    return name or source.file_name


def _named(audience_id: str | None, name: str | None) -> str:
    return f"{audience_id} ({name})" if audience_id and name else audience_id or name or ""
