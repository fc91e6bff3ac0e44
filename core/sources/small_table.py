"""A small plain text: a table of one audience with one row for each profile, or the CSV of a download."""

from collections.abc import Sequence

from core.sources import small_download
from core.sources.audience_ref import choose
from core.sources.detection import FileFormat
from core.sources.plain_cells import (
    LONGEST,
    NotPlainError,
    ProfileRow,
    columns_of,
    customer_ids,
    detect_plain,
    emails,
    mpids,
    require,
    stamps,
)
from core.sources.source import Source, SourceFormat
from core.sources.source_file import SourceFile
from core.sources.staged_rows import LabelCount, audience_of, described
from core.sources.summary_rows import is_no_person
from core.sources.table_columns import (
    AUDIENCE_ID,
    AUDIENCE_NAME,
    CUSTOMER,
    EMAIL,
    IS_ADD,
    MPID,
    STAMP,
    columns_by_meaning,
)
from core.sources.tabular import csv_rows

_TRUTH = dict.fromkeys(("true", "t", "1", "yes", "y"), True) | dict.fromkeys(("false", "f", "0", "no", "n"), False)


def read_text(file: SourceFile, content: bytes, wanted: str | None) -> tuple[Source, list[ProfileRow]]:
    """Read a text. `wanted` is the id or name of its audience. Raises NotPlainError, InputError or ValueError."""
    detected = detect_plain(content, file)
    file = detected.file
    if detected.kind is FileFormat.DOWNLOAD_CSV:
        return small_download.read_csv(file, content, wanted)
    require(detected.kind is FileFormat.TABLE_CSV)
    columns = file.layout.columns
    indexes = columns_by_meaning(columns, file)
    read = columns_of(content, file.layout)
    rows = len(read[0])
    used = sorted(indexes.values())
    header = tuple(columns[index] for index in used)
    require(header not in zip(*(read[index] for index in used), strict=True))
    cells = {name: read[index] for name, index in indexes.items()}
    table = csv_rows(file)
    if not table.is_delta:
        _refuse_summaries(cells)
    count = _count(cells, rows)
    audience = audience_of(count)
    choose([audience], wanted, file)
    return described(SourceFormat.TABLE, table, count, audience, people=rows), _profiles(cells, rows)


def _profiles(cells: dict[str, list[str]], rows: int) -> list[ProfileRow]:
    """Return a row for each profile. Raises NotPlainError if two rows have the same."""
    nothing = [""] * rows
    are_members = [True] * rows
    if IS_ADD in cells:
        truths = [_TRUTH.get(cell.lower()) for cell in cells[IS_ADD]]
        are_members = [truth for truth in truths if truth is not None]
        require(len(are_members) == rows)
    identities = (
        mpids(cells.get(MPID, nothing)),
        are_members,
        emails(cells.get(EMAIL, nothing)),
        customer_ids(cells.get(CUSTOMER, nothing)),
    )
    profiles = [
        (_profile(mpid, email, customer_id), mpid, is_member, email, customer_id)
        for mpid, is_member, email, customer_id in zip(*identities, strict=True)
    ]
    require(len({profile for profile, *_ in profiles}) == rows)
    return profiles


def _profile(mpid: int | None, email: str | None, customer_id: str | None) -> str:
    """Return the key of a profile, as core/sources/repeated_rows.py makes it. Raises NotPlainError if it has none."""
    if mpid is not None:
        return str(mpid)
    if customer_id is not None:
        return f"customer:{customer_id}"
    if email is None:
        raise NotPlainError
    return f"email:{email.lower()}"


def _refuse_summaries(cells: dict[str, list[str]]) -> None:
    """Raise NotPlainError if the first or the last row may be no person."""
    for place in (0, -1):
        identities = [cells[name][place] or None if name in cells else None for name in (MPID, EMAIL, CUSTOMER)]
        require(not is_no_person(identities))


def _count(cells: dict[str, list[str]], rows: int) -> LabelCount:
    """Return the count of the rows. Raises NotPlainError if there are several audiences."""
    name = _only(cells.get(AUDIENCE_NAME, ("",)))
    label = _only(cells[AUDIENCE_ID]) if AUDIENCE_ID in cells else name
    at = stamps(cells[STAMP]) if STAMP in cells else []
    with_mpid = sum(cell != "" for cell in cells.get(MPID, ()))
    return LabelCount(label, name, rows, with_mpid, min(at, default=None), max(at, default=None))


def _only(cells: Sequence[str]) -> str | None:
    """Return the cell that all rows have, None if it is empty. Raises NotPlainError if they differ."""
    require(len({*cells}) == 1 and len(cells[0]) <= LONGEST)
    return cells[0] or None
