"""Guards: limits past which a run waits for approval.

What they say is shown in Slack as well as on a terminal, so it names neither buttons nor options.
"""

from core.models.run import Guard, GuardName, RunRequest, SyncMode
from core.sources import Source
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy

# Removals above this share of the mapping's members ask for approval ...
MASS_REMOVAL_SHARE = 0.20
# ... where the ledger holds more than this many.
MASS_REMOVAL_FROM = 100


def check_guards(
    request: RunRequest,
    mode: SyncMode,
    mapping: AudienceMapping,
    source: Source,
    *,
    members: int,
    to_remove: int,
    ledger_size: int,
) -> tuple[Guard, ...]:
    """Return the guards that a plan has passed and that what was asked for does not overrule.

    Where the mapping keeps those who leave, nobody is removed, and so an empty audience does nothing.
    """
    found = []
    if mapping.status is MappingStatus.PROPOSED and not request.approved:
        found.append(
            Guard(
                name=GuardName.NEW_MAPPING,
                message=f"Nobody has approved yet that {_whom(mapping, source)} is synced to list {mapping.list_id}.",
            )
        )
    emptied = mode is SyncMode.MIRROR and members == 0 and mapping.removal_policy is not RemovalPolicy.KEEP
    if emptied and not request.allow_empty:
        found.append(
            Guard(
                name=GuardName.EMPTY_AUDIENCE,
                message=f"The audience is empty: {source.file_name} has no members"
                + (f", and the {ledger_size:,} that were synced before would be removed" if ledger_size else "")
                + ".",
            )
        )
    if not request.approved and not emptied:
        found += _about_removals(mapping, to_remove, ledger_size)
    if is_other_audience(mapping, source) and not request.approved:
        found.append(
            Guard(
                name=GuardName.OTHER_AUDIENCE,
                message=f"List {mapping.list_id} is kept equal to audience {mapping.audience_id}"
                f"{_named(mapping.audience_name)}, and {source.file_name} is of audience {source.audience_id}"
                f"{_named(source.audience_name)}, which would take its place.",
            )
        )
    return tuple(found)


def undo_guard(undone: str, *, to_add: int, to_update: int, to_remove: int) -> Guard:
    """Return the guard of a run that takes back what another did: it always asks."""
    what = f"{to_remove:,} would be taken off the list, {to_add:,} put back and {to_update:,} changed back"
    return Guard(name=GuardName.UNDO, message=f"This takes back what run {undone} did: {what}.")


def is_other_audience(mapping: AudienceMapping, source: Source) -> bool:
    """Whether a source says that it is of another audience than the mapping's."""
    return None not in (mapping.audience_id, source.audience_id) and mapping.audience_id != source.audience_id


def _about_removals(mapping: AudienceMapping, to_remove: int, ledger_size: int) -> list[Guard]:
    """At most one: the more telling."""
    if ledger_size > MASS_REMOVAL_FROM and to_remove > MASS_REMOVAL_SHARE * ledger_size:
        message = (
            f"{to_remove:,} of {ledger_size:,} members would be removed ({to_remove / ledger_size:.0%}), "
            f"more than {MASS_REMOVAL_SHARE:.0%}."
        )
        return [Guard(name=GuardName.MASS_REMOVAL, message=message)]
    if mapping.removal_policy is RemovalPolicy.ASK and to_remove:
        are = "1 member" if to_remove == 1 else f"{to_remove:,} members"
        message = f"{are} would be removed from list {mapping.list_id}, and removals are to be approved each time."
        return [Guard(name=GuardName.REMOVALS, message=message)]
    return []


def _whom(mapping: AudienceMapping, source: Source) -> str:
    name = mapping.audience_name or source.audience_name or mapping.audience_id or source.audience_id
    return f"audience {name}" if name else source.file_name


def _named(name: str | None) -> str:
    return f" ({name})" if name else ""
