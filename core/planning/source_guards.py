"""Guards that compare a source with those synced before: its size, the number of additions, and its age."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.models.percent import percent
from core.models.run import Guard, GuardName
from core.store.audit_log import COMMAND_LINE
from core.store.mappings import AudienceMapping, MappingStatus

#: Additions above this share of the mapping's members, and above this number, need approval, unless the mapping has
#: limits of its own.
MAX_ADDED_SHARE = 0.50
MAX_ADDED = 1_000

# A source needs approval if its size deviates from the mean of the last runs by more than DEVIATIONS standard
# deviations and by more than DEVIATION_SHARE of the mean. That takes at least FEWEST_RUNS runs, and a mean of at least
# DEVIATION_FROM people.
LAST_RUNS = 10
FEWEST_RUNS = 5
DEVIATIONS = 3.0
DEVIATION_SHARE = 0.20
DEVIATION_FROM = 100

_HOUR_S, _DAY_S = 3600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class History:
    """The earlier runs of a mapping.

    `sizes` are the numbers of people in the sources of its last runs in the same mode. `synced_at` is when the source
    of the last one was made (UTC seconds), and `synced_by` is the id of that run.
    """

    sizes: Sequence[int] = field(default_factory=tuple)
    synced_at: float | None = None
    synced_by: str | None = None


def check_additions(mapping: AudienceMapping, *, to_add: int, ledger_size: int) -> list[Guard]:
    """Return the guard of a plan that adds very many people: joining a list can start journeys, which send messages.

    It does not apply to the first sync of a proposed mapping, which needs approval anyway, nor to the first sync of a
    mapping from the command line, where the operator has named the list.
    """
    is_first_from_command_line = ledger_size == 0 and mapping.proposed_by in (None, COMMAND_LINE)
    if mapping.status is MappingStatus.PROPOSED or is_first_from_command_line:
        return []
    limit = MAX_ADDED if mapping.max_added is None else mapping.max_added
    share = MAX_ADDED_SHARE if mapping.max_added_share is None else mapping.max_added_share
    if to_add <= limit or to_add <= share * ledger_size:
        return []
    base = f" to the {ledger_size:,} that were synced before ({percent(to_add / ledger_size)})" if ledger_size else ""
    message = f"{to_add:,} people would be added{base}, more than {percent(share)} and more than {limit:,}."
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
        f"{percent(distance / mean)} {'more' if size > mean else 'fewer'}."
    )
    return [Guard(name=GuardName.UNUSUAL_SIZE, message=message)]


def check_age(file_name: str, source_at: float | None, history: History) -> list[Guard]:
    """Return the guard of a source that is older than the one synced last: it would roll the list back."""
    if source_at is None or history.synced_at is None or source_at >= history.synced_at:
        return []
    message = (
        f"{file_name} is {older_by(history.synced_at - source_at)} older than the audience that run "
        f"{history.synced_by} synced last, so the list would go back to an earlier state."
    )
    return [Guard(name=GuardName.OLDER_SOURCE, message=message)]


def older_by(seconds: float) -> str:
    """Return a length of time in its largest unit, such as "7 days"."""
    for unit, length in (("day", _DAY_S), ("hour", _HOUR_S), ("minute", 60.0)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number:,} {unit}{'' if number == 1 else 's'}"
    return "less than a minute"
