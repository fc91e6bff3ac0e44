"""A small audience download: its only CSV, as it is or in mParticle's ZIP."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import compress
from pathlib import PurePosixPath

from core.sources import download_csv, manifest, zip_archive
from core.sources.audience_ref import AudienceRef, choose, common_name, from_download_name
from core.sources.detection import FileFormat
from core.sources.download_csv import DownloadProfiles
from core.sources.download_zip import choose_variants, members_of
from core.sources.plain_cells import (
    LONGEST,
    ProfileRow,
    columns_of,
    customer_ids,
    detect_plain,
    emails,
    mpids,
    require,
    stamps,
)
from core.sources.source import Source
from core.sources.source_file import SourceFile, readable
from core.sources.staged_rows import EMAIL, KINDS, OTHER, LabelCount
from core.sources.staging import MOST_LABELS

#: The first bytes of a ZIP.
ZIP = (b"PK\x03\x04",)
# A larger CSV in a ZIP is not small, in bytes.
MOST_BYTES = 2_000_000


def read_csv(file: SourceFile, content: bytes, wanted: str | None) -> tuple[Source, list[ProfileRow]]:
    """Read the CSV of a download, whose name may contain the audience. `wanted` is its id or name.

    Raises NotPlainError, InputError or ValueError.
    """
    audience = from_download_name(file.name)
    choose([audience], wanted, file)
    rows, counts = _read(file, content)
    profiles = DownloadProfiles(len(rows), len(rows), ())
    return download_csv.source_of(file.given, audience, counts, profiles), rows


def read_zip(file: SourceFile, wanted: str | None, variant: str | None) -> tuple[Source, list[ProfileRow]]:
    """Read a ZIP with a manifest and one CSV. Raises NotPlainError, InputError or ValueError."""
    with zip_archive.open_archive(file) as archive:
        described = archive.manifest()
        require(described is not None and archive.unpacked_size <= MOST_BYTES)
        expected = manifest.parse(described or b"", file)
        expected.require_email(file)
        members = members_of(archive, expected, file)
        require(len(members) == 1 and len(choose_variants(members, wanted, variant, file)) == 1)
        content = archive.read(members[0].name, MOST_BYTES)
    member = members[0]
    csv_file = SourceFile(file.path, readable(PurePosixPath(member.name).name), archive=file.name)
    detected = detect_plain(content, csv_file)
    require(detected.kind is FileFormat.DOWNLOAD_CSV)
    rows, counts = _read(detected.file, content)
    for of_rows in (member.expected, expected.total):
        manifest.check_rows(of_rows, download_csv.rows_by_type(counts), file)
        manifest.check_users(of_rows, len(rows), file)
    audience = AudienceRef(member.audience.id, common_name([member.audience.name]))
    profiles = DownloadProfiles(len(rows), len(rows), ())
    return download_csv.source_of(file.name, audience, counts, profiles, expected), rows


def _read(file: SourceFile, content: bytes) -> tuple[list[ProfileRow], list[LabelCount]]:
    """Return the profiles of a CSV, with the latest identities of each, and the counts of its rows by type."""
    names = download_csv.names_of(file.layout.columns)
    cells = dict(zip(names, columns_of(content, file.layout), strict=True))
    require(len(cells) == len(names) and all(cells["mpid"]))
    labels = cells["type"]
    kinds = {label: _kind(label) for label in set(labels)}
    at = stamps(cells["stamp"]) if "stamp" in cells else [0] * len(labels)
    email_of = _latest(cells, at, {label for label, kind in kinds.items() if kind == EMAIL}, emails)
    of_customers = {label for label, kind in kinds.items() if kind not in (EMAIL, OTHER)}
    customer_id_of = _latest(cells, at, of_customers, customer_ids)
    profiles = [*dict.fromkeys(cells["mpid"])]  # an mpid is written in one way only
    rows = [
        (profile, mpid, True, email_of.get(profile), customer_id_of.get(profile))
        for profile, mpid in zip(profiles, mpids(profiles), strict=True)
    ]
    return rows, _counts(labels, at if "stamp" in cells else None)


def _latest(
    cells: dict[str, list[str]],
    at: list[int],
    labels: set[str],
    checked: Callable[[Sequence[str]], list[str | None]],
) -> dict[str, str]:
    """Return the latest identity with one of these labels of each profile that has any: of one time, the last.

    `checked` raises NotPlainError if one of the identities is not plain.
    """
    are_chosen = [label in labels for label in cells["type"]]
    profiles, values = ([*compress(cells[name], are_chosen)] for name in ("mpid", "value"))
    require(all(checked(values)))
    if len({*profiles}) < len(profiles):
        order = sorted(range(len(profiles)), key=[*compress(at, are_chosen)].__getitem__)
        profiles, values = ([column[place] for place in order] for column in (profiles, values))
    return dict(zip(profiles, values, strict=True))


def _kind(label: str) -> int:
    """Return the kind of a type of identity. Raises NotPlainError if it may be a spelling of another one."""
    kind = KINDS.get(label, OTHER)
    plain = label.lower()
    require(len(label) <= LONGEST and (kind != OTHER or not ("email" in plain or "customer" in plain)))
    return kind


def _counts(labels: Sequence[str], at: Sequence[int] | None) -> list[LabelCount]:
    """Return the counts of the rows by type of identity. `at`: their time stamps, if they have any."""
    rows, times = Counter(labels), dict[str, list[int]]()
    for label, stamp in zip(labels, at or (), strict=at is not None):
        times.setdefault(label, []).append(stamp)
    require(len(rows) <= MOST_LABELS)
    return [
        LabelCount(label or None, None, number, number, min(of_label, default=None), max(of_label, default=None))
        for label, number in rows.items()
        for of_label in (times.get(label, []),)
    ]
