"""Guards that compare a source with those that were synced before: its size, how many join, and how old it is."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.models.run import Guard, GuardName
from core.store.audit_log import COMMAND_LINE
from core.store.mappings import AudienceMapping, MappingStatus

#: Additions above this share of the mapping's members, and above this number, ask for approval, if the mapping has no
#: limits of its own.
MAX_ADDED_SHARE = 0.50
MAX_ADDED = 1_000

# A size that deviates from the mean of the last runs by more standard deviations, and by more of the mean, asks for
# approval, once there have been so many runs, of about so many people.
LAST_RUNS = 10
FEWEST_RUNS = 5
DEVIATIONS = 3.0
DEVIATION_SHARE = 0.20
DEVIATION_FROM = 100

_HOUR_S, _DAY_S = 3600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class History:
    """What was synced to a mapping's list before.

    `sizes` are how many people the last runs in this mode were about, `synced_at` is of when the source is that was
    synced last (UTC seconds), by the run `synced_by`.
    """

    sizes: Sequence[int] = field(default_factory=tuple)
    synced_at: float | None = None
    synced_by: str | None = None


def check_additions(mapping: AudienceMapping, *, to_add: int, ledger_size: int) -> list[Guard]:
    """Return the guard of a plan that adds very many people. Joining a list can start journeys, which send messages.

    The first sync of a proposed mapping asks for approval anyway; the first one that an operator types on the command
    line has been asked for by name.
    """
    is_asked_for = ledger_size == 0 and mapping.proposed_by in (None, COMMAND_LINE)
    if mapping.status is MappingStatus.PROPOSED or is_asked_for:
        return []
    most = MAX_ADDED if mapping.max_added is None else mapping.max_added
    share = MAX_ADDED_SHARE if mapping.max_added_share is None else mapping.max_added_share
    if to_add <= most or to_add <= share * ledger_size:
        return []
    of = f" to the {ledger_size:,} that were synced before ({to_add / ledger_size:.0%})" if ledger_size else ""
    message = f"{to_add:,} people would be added{of}, more than {share:.0%} and more than {most:,}."
    return [Guard(name=GuardName.MASS_ADDITION, message=message)]


def check_size(size: int, history: History) -> list[Guard]:
    """Return the guard of a source that is far larger or smaller than those of the last runs."""
    sizes = history.sizes[:LAST_RUNS]
    if len(sizes) < FEWEST_RUNS:
        return []
    mean, deviation = statistics.fmean(sizes), statistics.pstdev(sizes)
    distance = abs(size - mean)
    if mean < DEVIATION_FROM or distance <= DEVIATIONS * deviation or distance <= DEVIATION_SHARE * mean:
        return []
    message = (
        f"The audience has {size:,} people. In the last {len(sizes)} syncs it had about {mean:,.0f}, so this is "
        f"{distance / mean:.0%} {'more' if size > mean else 'fewer'}."
    )
    return [Guard(name=GuardName.UNUSUAL_SIZE, message=message)]


def check_age(file_name: str, source_at: float | None, history: History) -> list[Guard]:
    """Return the guard of a source that is older than the one that was synced last: it would roll the list back."""
    if source_at is None or history.synced_at is None or source_at >= history.synced_at:
        return []
    message = (
        f"{file_name} is {older_by(history.synced_at - source_at)} older than the audience that run "
        f"{history.synced_by} synced last, so the list would go back to an earlier state."
    )
    return [Guard(name=GuardName.OLDER_SOURCE, message=message)]


def older_by(seconds: float) -> str:
    """A length of time in its largest unit: "7 days"."""
    for unit, length in (("day", _DAY_S), ("hour", _HOUR_S), ("minute", 60.0)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number:,} {unit}{'' if number == 1 else 's'}"
    return "less than a minute"
