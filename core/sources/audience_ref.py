"""Which audience a file carries, and choosing one where it carries several."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.errors import AudiencesOfOneNameError, SeveralAudiencesError
from core.sources.source_file import SourceFile, readable

# How many audiences an error lists.
LISTED = 10
# How many letters of a name it shows.
LONGEST_LISTED = 60

# `8754_PotentialParisians_172136Nov292018.csv`: id, name, HHMMSSMonDDYYYY (mParticle's audience downloads);
# a browser that already has such a file adds a number.
_DOWNLOAD = re.compile(r"(\d+)_(.+)_\d{6}[A-Za-z]{3}\d{6}(?: ?\(\d+\))?\.csv", re.IGNORECASE)

# `Audience-Name_123_2020-07-08_00-16-14_<guid>.txt` (mParticle's Google Cloud Storage output).
_BUCKET = re.compile(r"(.+)_(\d+)_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9A-Za-z-]+\.\w+", re.IGNORECASE)


@dataclass(frozen=True)
class AudienceRef:
    """An audience as far as a file tells: id and name, either of which it may leave out."""

    id: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        # they come out of files, and go to terminals, into messages and into tables
        object.__setattr__(self, "id", self.id and readable(self.id))
        object.__setattr__(self, "name", self.name and readable(self.name))

    def __str__(self) -> str:
        known = [readable(text, LONGEST_LISTED) for text in (self.name, self.id) if text]
        return f"{known[0]} ({known[1]})" if len(known) == 2 else known[0] if known else "without a name"

    def answers_to(self, wanted: str) -> bool:
        """Whether a person who asks for `wanted` means this one; a hyphen may stand for a space."""
        wanted = wanted.strip()
        return wanted == self.id or (self.name is not None and _plain(wanted) == _plain(self.name))


NOBODY = AudienceRef()


def from_download_name(file_name: str) -> AudienceRef:
    """The audience that the name of a downloaded CSV tells."""
    match = _DOWNLOAD.fullmatch(file_name)
    return AudienceRef(match[1], match[2]) if match else NOBODY


def from_bucket_name(file_name: str) -> AudienceRef:
    """The audience that the name of a file in a bucket tells."""
    match = _BUCKET.fullmatch(file_name)
    return AudienceRef(match[2], match[1]) if match else NOBODY


def common_name(names: Iterable[str | None]) -> str | None:
    """One name for the variants of an A/B test: the beginning that they share."""
    known = sorted(name for name in names if name)
    if not known:
        return None
    shared = len(known[0])
    while not known[-1].startswith(known[0][:shared]):
        shared -= 1
    return known[0][:shared].rstrip(" -_") or known[0]


def choose(found: Sequence[AudienceRef], wanted: str | None, file: SourceFile) -> int:
    """The place in `found` of the audience that is meant."""
    if wanted is None:
        if len(found) > 1:
            message = f"contains several audiences: {listing(found)}. Choose one of them."
            raise file.error(message, kind=SeveralAudiencesError)
        return 0
    chosen = [place for place, audience in enumerate(found) if audience.answers_to(wanted)]
    if len(chosen) > 1:
        alike = listing([found[place] for place in chosen])
        message = f"contains several audiences of that name: {alike}. Their ids tell them apart."
        raise file.error(message, kind=AudiencesOfOneNameError)
    if chosen:
        return chosen[0]
    if found == [NOBODY]:
        return 0  # the file doesn't say, so the person does
    raise file.error(f"doesn't hold the audience that is asked for, but {listing(found)}.")


def listing(audiences: Sequence[AudienceRef]) -> str:
    """Some audiences in a sentence, and how many more there are."""
    shown = ", ".join(str(audience) for audience in audiences[:LISTED])
    more = len(audiences) - LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", " ", name).strip().casefold()
