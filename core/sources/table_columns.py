"""The columns of a table: which of them count, by their names or because a person has chosen them."""

import re
from collections.abc import Sequence

from core.errors import AmbiguousColumnsError, ColumnNotFoundError
from core.sources.source_file import SourceFile, readable

EMAIL = "email"
CUSTOMER = "customer id"
MPID = "mpid"
IS_ADD = "isadd"
STAMP = "timestamp"
AUDIENCE_ID = "audience id"
AUDIENCE_NAME = "audience name"

# The column names that an error may show: in a file without a header, the first line is a person's data.
_NAME = re.compile(r"[^\W\d][\w -]{0,39}")

# The number of columns that an error lists.
LISTED = 10

#: The spellings of a column, in lower case without anything but letters and digits.
SPELLINGS = {
    EMAIL: ("email", "emailaddress", "mail", "mailaddress", "useremail"),
    CUSTOMER: ("customerid", "customer", "userid", "externalid", "externalcustomerid", "clientid"),
    MPID: ("mpid", "mparticleid"),
    IS_ADD: ("isadd", "isaddrequest", "ismember"),
    STAMP: ("timestamp", "timestampms", "membershipchangedtimestamp"),
    AUDIENCE_ID: ("audienceid",),
    AUDIENCE_NAME: ("audiencename",),
}
#: The identities that a person can choose a column for, and their meanings here.
_CHOICES = {"email": EMAIL, "customer_id": CUSTOMER, "mpid": MPID}
COLUMN_CHOICES = tuple(_CHOICES)
_MEANINGS = {spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings}


def meaning(column: str) -> str | None:
    """Return the meaning of a column in the header, or None if it has none."""
    return _MEANINGS.get("".join(letter for letter in column.lower() if letter.isalnum()))


def columns_by_meaning(columns: Sequence[str], file: SourceFile) -> dict[str, int]:
    """Return the index of each column that is used, by meaning: those that a person has chosen, and others by name.

    Raises AmbiguousColumnsError, ColumnNotFoundError, or InputError if no column has an identity.
    """
    indexes = _chosen_columns(columns, file)
    taken, chosen = set(indexes.values()), set(indexes)
    candidates: dict[str, list[int]] = {}
    for place, column in enumerate(columns):
        name = meaning(column)
        if name is not None and place not in taken and name not in chosen:
            candidates.setdefault(name, []).append(place)
    ambiguous = {name: [columns[place] for place in places] for name, places in candidates.items() if len(places) > 1}
    if ambiguous:
        raise _ambiguity(ambiguous, file)
    indexes |= {name: places[0] for name, places in candidates.items()}
    if not indexes.keys() & {EMAIL, CUSTOMER, MPID}:
        _refuse_columns(columns, file)
    return indexes


def _ambiguity(ambiguous: dict[str, list[str]], file: SourceFile) -> AmbiguousColumnsError:
    """Return the error that names all columns between which a person has to choose."""
    several = [
        f"two columns for the {name}, {' and '.join(readable(column, 60) for column in names)}"
        if len(names) == 2
        else f"{len(names)} columns for the {name}, {', '.join(readable(column, 60) for column in names[:LISTED])}"
        for name, names in ambiguous.items()
    ]
    choices = {key: list(dict.fromkeys(ambiguous[name])) for key, name in _CHOICES.items() if name in ambiguous}
    return AmbiguousColumnsError(f"has {'; and '.join(several)}. Choose one of them.", choices, path=file.shown)


def _chosen_columns(columns: Sequence[str], file: SourceFile) -> dict[str, int]:
    """Return the places of the columns that a person has chosen. Capitals count only if they tell two columns apart."""
    exact = [column.strip() for column in columns]
    folded = [column.casefold() for column in exact]
    indexes = {}
    for key, column in file.chosen_columns:
        wanted = column.strip()
        if wanted.casefold() not in folded:
            shown = ", ".join(name if _NAME.fullmatch(name) else "(not a name)" for name in columns[:LISTED])
            raise ColumnNotFoundError(
                f"has no column {readable(column, 60)}, which was chosen for {key}, only {shown}.", path=file.shown
            )
        indexes[_CHOICES[key]] = exact.index(wanted) if wanted in exact else folded.index(wanted.casefold())
    return indexes


def _refuse_columns(columns: Sequence[str], file: SourceFile) -> None:
    accepted = "; ".join(f"{name}: {', '.join(SPELLINGS[name])}" for name in (EMAIL, CUSTOMER, MPID))
    if any("@" in column for column in columns):
        raise file.error(
            f"the first line contains an address instead of column names. Accepted are {accepted}.", line=1
        )
    shown = ", ".join(column if _NAME.fullmatch(column) else "(not a name)" for column in columns[:LISTED])
    more = f" and {len(columns) - LISTED} more" if len(columns) > LISTED else ""
    raise file.error(f"has no column with an identity, only {shown}{more}. Accepted are {accepted}.")


def other_columns(columns: Sequence[str], indexes: dict[str, int]) -> tuple[str, ...]:
    """Return the names of the columns that are not used as an identity, as far as they are names."""
    others = [column.strip() for place, column in enumerate(columns) if place not in indexes.values()]
    return tuple(column for column in dict.fromkeys(others) if _NAME.fullmatch(column.lstrip("$")))


def column_notes(columns: Sequence[str], indexes: dict[str, int], fields: Sequence[int] = ()) -> tuple[str, ...]:
    """Return a note on which columns are used, and which are ignored. `fields` are the places of data fields."""
    used = ", ".join(
        f"{readable(columns[place], 40)} as {name}" for place, name in sorted((p, n) for n, p in indexes.items())
    )
    ignored = [
        column if _NAME.fullmatch(column) else "(not a name)"
        for place, column in enumerate(columns)
        if place not in indexes.values() and place not in fields
    ]
    more = f" and {len(ignored) - LISTED} more" if len(ignored) > LISTED else ""
    rest = f" Ignored: {', '.join(ignored[:LISTED])}{more}." if ignored else ""
    return (f"Columns used: {used}.{rest}",)
