"""An audience download as the ZIP that mParticle gives: its CSV files, held against its manifest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import duckdb

from core.sources import download_csv, zip_archive
from core.sources.audience_ref import AudienceRef, choose, common_name, from_download_name
from core.sources.detection import FileFormat, detect
from core.sources.manifest import NOT_COUNTED, TRUNCATED, Expected, Manifest, check_rows, check_users, parse
from core.sources.scratch import scratch
from core.sources.source import Source
from core.sources.source_file import SourceFile, readable
from core.sources.staging import count_profiles


@dataclass(frozen=True)
class Member:
    """A CSV in the ZIP, and what the manifest says of it."""

    name: str
    audience: AudienceRef
    expected: Expected


def read_zip(
    con: duckdb.DuckDBPyConnection,
    file: SourceFile,
    wanted: str | None,
) -> Source:
    """Read a ZIP that has a manifest."""
    with zip_archive.opened(file) as opened:
        content = opened.manifest()
        with scratch(con, file) as folder:
            assert content is not None
            told = parse(content, file)
            told.require_email(file)
            members = _members(opened, told, file)
            chosen = _chosen(members, wanted, file)
            unpacked = [
                _unpack(opened, member.name, folder / f"{place}.csv", file) for place, member in enumerate(chosen)
            ]
            if len(chosen) < len(members):
                told = replace(told, total=NOT_COUNTED)
            return _read_variants(con, file, chosen, unpacked, told)


def _members(opened: zip_archive.Archive, told: Manifest, file: SourceFile) -> list[Member]:
    """The CSV files, in the order of the manifest."""
    found = {PurePosixPath(name).name: name for name in opened.csv_names()}
    if len(found) < len(opened.csv_names()):
        raise file.error(zip_archive.TWICE)
    expected = {PurePosixPath(entry.name).name: entry for entry in told.files}
    missing = len(expected.keys() - found.keys())
    if missing:
        raise file.error(
            TRUNCATED.format(f"it lacks {missing:,} of the {len(expected):,} files that its manifest lists")
        )
    if expected and found.keys() - expected.keys():
        raise file.error("holds CSV files that its manifest doesn't list. Download the audience again.")
    if not found:
        raise file.error("holds no CSV file. Download the audience again.")
    return [
        Member(found[name], _audience_of(name, told), expected.get(name, NOT_COUNTED)) for name in expected or found
    ]


def _audience_of(name: str, told: Manifest) -> AudienceRef:
    audience = from_download_name(name)
    if audience.id is None and len(told.audience_ids) == 1:
        return AudienceRef(told.audience_ids[0], audience.name)
    return audience


def _chosen(members: Sequence[Member], wanted: str | None, file: SourceFile) -> list[Member]:
    """The variants of one audience."""
    variants: dict[str | None, list[Member]] = {}
    for member in members:
        variants.setdefault(member.audience.id, []).append(member)
    found = [
        AudienceRef(audience_id, common_name(member.audience.name for member in group))
        for audience_id, group in variants.items()
    ]
    return list(variants.values())[choose(found, wanted, file)]


def _unpack(opened: zip_archive.Archive, name: str, target: Path, file: SourceFile) -> SourceFile:
    opened.extract(name, target)
    return SourceFile(target, readable(PurePosixPath(name).name), archive=file.name)


def _read_variants(
    con: duckdb.DuckDBPyConnection,
    file: SourceFile,
    members: Sequence[Member],
    unpacked: Sequence[SourceFile],
    told: Manifest,
) -> Source:
    """Read the variants of an audience as one, and hold them against the manifest."""
    files = [_download(plain) for plain in unpacked]
    counted = [download_csv.stage_rows(con, plain) for plain in files]
    for member, plain, counts in zip(members, files, counted, strict=True):
        check_rows(member.expected, download_csv.rows_by_type(counts), plain)
    together = [count for counts in counted for count in counts]
    check_rows(told.total, download_csv.rows_by_type(together), file)
    full = [plain for plain, counts in zip(files, counted, strict=True) if counts] or files[:1]
    if len({plain.layout for plain in full}) > 1:
        raise file.error("holds CSV files that are laid out in different ways. Download the audience again.")
    if len(files) > 1:
        first = 0
        for member, plain, counts in zip(members, files, counted, strict=True):
            rows = sum(count.rows for count in counts)
            check_users(member.expected, count_profiles(con, first, rows, plain), plain)
            first += rows
    gathered = download_csv.gather_profiles(con, full[0], together)
    if len(files) == 1:
        check_users(members[0].expected, gathered.users, files[0])
        check_users(told.total, gathered.users, file)
    audience = AudienceRef(members[0].audience.id, common_name(member.audience.name for member in members))
    return download_csv.source_of(file.name, audience, together, gathered, told.newest_ms)


def _download(plain: SourceFile) -> SourceFile:
    found = detect(plain)
    if found.kind is not FileFormat.DOWNLOAD_CSV:
        raise plain.error("has not the columns of an audience download. Download the audience again.")
    return found.file
