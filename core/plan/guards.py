"""Guards: limits past which a run waits for approval."""

from core.audience import Source
from core.runs import Guard, GuardName, Mode, Request
from core.store.mappings import Mapping

# Removals above this share of the mapping's members ask for approval ...
MASS_REMOVAL_SHARE = 0.20
# ... where the ledger holds more than this many.
MASS_REMOVAL_FROM = 100


def guards(
    request: Request, mode: Mode, mapping: Mapping, source: Source, *, members: int, to_remove: int, ledger_size: int
) -> tuple[Guard, ...]:
    """Return the guards that a plan has passed and that what was asked for does not overrule."""
    found = []
    emptied = mode is Mode.MIRROR and members == 0
    if emptied and not request.allow_empty:
        found.append(
            Guard(
                name=GuardName.EMPTY_AUDIENCE,
                message=f"The audience is empty: {source.file_name} has no members"
                + (f", and the {ledger_size:,} that were synced before would be removed" if ledger_size else "")
                + ". If that is meant, use --allow-empty.",
            )
        )
    is_mass_removal = ledger_size > MASS_REMOVAL_FROM and to_remove > MASS_REMOVAL_SHARE * ledger_size
    if is_mass_removal and not emptied and not request.approved:
        found.append(
            Guard(
                name=GuardName.MASS_REMOVAL,
                message=f"{to_remove:,} of {ledger_size:,} members would be removed ({to_remove / ledger_size:.0%}), "
                f"more than {MASS_REMOVAL_SHARE:.0%}. If that is meant, use --yes.",
            )
        )
    if is_other_audience(mapping, source) and not request.approved:
        found.append(
            Guard(
                name=GuardName.OTHER_AUDIENCE,
                message=f"List {mapping.list_id} is kept equal to audience {mapping.audience_id}"
                f"{_named(mapping.audience_name)}, and {source.file_name} is of audience {source.audience_id}"
                f"{_named(source.audience_name)}. If this audience is to take its place, use --yes; if both are "
                "to feed the list, name this one with --audience.",
            )
        )
    return tuple(found)


def is_other_audience(mapping: Mapping, source: Source) -> bool:
    """Whether a source says that it is of another audience than the mapping's."""
    return None not in (mapping.audience_id, source.audience_id) and mapping.audience_id != source.audience_id


def _named(name: str | None) -> str:
    return f" ({name})" if name else ""
