"""Audiences in a file: their ids and names, and the choice of one if a file contains several."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.errors import AudiencesOfOneNameError, SeveralAudiencesError
from core.sources.source_file import SourceFile, readable

# The number of audiences that an error lists.
LISTED = 10
# The number of letters that it shows of a name.
LONGEST_LISTED = 60

# `8754_PotentialParisians_172136Nov292018.csv`: id, name, HHMMSSMonDDYYYY (mParticle's audience downloads).
# A browser adds a number if it has a file of that name already.
_DOWNLOAD = re.compile(r"(\d+)_(.+)_\d{6}[A-Za-z]{3}\d{6}(?: ?\(\d+\))?\.csv", re.IGNORECASE)

# `Audience-Name_123_2020-07-08_00-16-14_<guid>.txt` (mParticle's Google Cloud Storage output).
_BUCKET = re.compile(r"(.+)_(\d+)_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9A-Za-z-]+\.\w+", re.IGNORECASE)


@dataclass(frozen=True)
class AudienceRef:
    """The audience of a file, by id and name. Either may be missing."""

    id: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        # they come from files, and are shown in terminals, messages and tables
        object.__setattr__(self, "id", self.id and readable(self.id))
        object.__setattr__(self, "name", self.name and readable(self.name))

    def __str__(self) -> str:
        parts = [readable(text, LONGEST_LISTED) for text in (self.name, self.id) if text]
        return f"{parts[0]} ({parts[1]})" if len(parts) == 2 else parts[0] if parts else "without a name"

    def matches(self, wanted: str) -> bool:
        """Return whether `wanted`, as typed by a person, is the id or the name. A hyphen may stand for a space."""
        wanted = wanted.strip()
        return wanted == self.id or (self.name is not None and _plain(wanted) == _plain(self.name))


UNKNOWN_AUDIENCE = AudienceRef()


def from_download_name(file_name: str) -> AudienceRef:
    """Return the audience in the name of a downloaded CSV file, or UNKNOWN_AUDIENCE."""
    match = _DOWNLOAD.fullmatch(file_name)
    return AudienceRef(match[1], match[2]) if match else UNKNOWN_AUDIENCE


def from_bucket_name(file_name: str) -> AudienceRef:
    """Return the audience in the name of a file from a bucket, or UNKNOWN_AUDIENCE."""
    match = _BUCKET.fullmatch(file_name)
    return AudienceRef(match[2], match[1]) if match else UNKNOWN_AUDIENCE


def common_name(names: Iterable[str | None]) -> str | None:
    """Return one name for the variants of an A/B test: their common prefix. None if there are no names."""
    ordered = sorted(name for name in names if name)
    if not ordered:
        return None
    length = len(ordered[0])
    while not ordered[-1].startswith(ordered[0][:length]):
        length -= 1
    return ordered[0][:length].rstrip(" -_") or ordered[0]


def split_variant(name: str | None) -> tuple[str, str] | None:
    """Return the test and the variant in the name of an A/B variant, or None if it is no such name.

    mParticle calls a variant `[External name] - [Variant]` (documentation of A/B testing).
    """
    test, separator, variant = (name or "").rpartition(" - ")
    return (test.strip(), variant.strip()) if separator and test.strip() and variant.strip() else None


def is_other_variant(name: str | None, other: str | None) -> bool:
    """Return whether two names are those of different variants of one A/B test."""
    first, second = split_variant(name), split_variant(other)
    if first is None or second is None:
        return False
    return _plain(first[0]) == _plain(second[0]) and _plain(first[1]) != _plain(second[1])


def choose(audiences: Sequence[AudienceRef], wanted: str | None, file: SourceFile) -> int:
    """Return the index of the audience that a person wants, by id or name (None: the only one).

    Raises SeveralAudiencesError, AudiencesOfOneNameError or InputError if no audience, or more than one, matches.
    """
    if wanted is None:
        if len(audiences) > 1:
            message = f"contains several audiences: {listing(audiences)}. Choose one of them."
            raise file.error(message, kind=SeveralAudiencesError)
        return 0
    matching = [index for index, audience in enumerate(audiences) if audience.matches(wanted)]
    if len(matching) > 1:
        of_that_name = listing([audiences[index] for index in matching])
        message = f"contains several audiences of that name: {of_that_name}. Their ids tell them apart."
        raise file.error(message, kind=AudiencesOfOneNameError)
    if matching:
        return matching[0]
    if audiences == [UNKNOWN_AUDIENCE]:
        return 0  # the file names no audience, so the person's choice counts
    raise file.error(f"does not contain that audience, but {listing(audiences)}.")


def listing(audiences: Sequence[AudienceRef]) -> str:
    """Return the first audiences as text, and how many more there are."""
    shown = ", ".join(str(audience) for audience in audiences[:LISTED])
    more = len(audiences) - LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", " ", name).strip().casefold()
