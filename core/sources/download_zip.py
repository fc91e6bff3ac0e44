"""An audience download as the ZIP that mParticle offers: its CSV files, compared with its manifest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from core.sources import download_csv, zip_archive
from core.sources.audience_ref import AudienceRef, choose, common_name, from_download_name, listing, split_variant
from core.sources.detection import FileFormat, detect
from core.sources.manifest import NOT_COUNTED, TRUNCATED, Expected, Manifest, check_rows, check_users, parse
from core.sources.scratch import scratch
from core.sources.source import Source
from core.sources.source_file import SourceFile, readable
from core.sources.staging import count_profiles

if TYPE_CHECKING:
    import duckdb

_TOGETHER = (
    "The {} variants in this download were read as one audience: {}. To keep the variants of an A/B test apart, map "
    "each of them by its name to a list of its own."
)


@dataclass(frozen=True)
class Member:
    """A CSV in the ZIP, with its audience and the counts in the manifest."""

    name: str
    audience: AudienceRef
    expected: Expected


def read_zip(
    con: "duckdb.DuckDBPyConnection",
    file: SourceFile,
    wanted: str | None,
    variant: str | None = None,
) -> Source:
    """Read a ZIP that has a manifest. `wanted` is the id or name of an audience, if it contains several.

    Of several variants of an A/B test, `wanted` or else `variant` names the only one to read.

    Raises InputError if the ZIP is damaged or does not match its manifest.
    """
    with zip_archive.open_archive(file) as archive:
        content = archive.manifest()
        with scratch(con, file) as folder:
            assert content is not None
            manifest = parse(content, file)
            manifest.require_email(file)
            members = members_of(archive, manifest, file)
            chosen = choose_variants(members, wanted, variant, file)
            unpacked = [
                _unpack(archive, member.name, folder / f"{index}.csv", file) for index, member in enumerate(chosen)
            ]
            if len(chosen) < len(members):
                manifest = replace(manifest, total=NOT_COUNTED)
            return _read_variants(con, file, chosen, unpacked, manifest)


def members_of(archive: zip_archive.Archive, manifest: Manifest, file: SourceFile) -> list[Member]:
    """Return the CSV files, in the order of the manifest. Raises InputError if they are not those that it lists."""
    paths = {PurePosixPath(name).name: name for name in archive.csv_names()}
    if len(paths) < len(archive.csv_names()):
        raise file.error(zip_archive.TWICE)
    expected = {PurePosixPath(entry.name).name: entry for entry in manifest.files}
    missing = len(expected.keys() - paths.keys())
    if missing:
        raise file.error(
            TRUNCATED.format(f"it lacks {missing:,} of the {len(expected):,} files that its manifest lists")
        )
    if expected and paths.keys() - expected.keys():
        raise file.error("contains CSV files that its manifest doesn't list. Download the audience again.")
    if not paths:
        raise file.error("contains no CSV file. Download the audience again.")
    return [
        Member(paths[name], _audience_of(name, manifest), expected.get(name, NOT_COUNTED)) for name in expected or paths
    ]


def _audience_of(name: str, manifest: Manifest) -> AudienceRef:
    audience = from_download_name(name)
    if audience.id is None and len(manifest.audience_ids) == 1:
        return AudienceRef(manifest.audience_ids[0], audience.name)
    return audience


def choose_variants(
    members: Sequence[Member], wanted: str | None, variant: str | None, file: SourceFile
) -> list[Member]:
    """Return the variants of the wanted audience, or the only one that is named.

    `variant` is the name of the mapping's audience. It chooses among variants of one audience, or it is a variant's
    name. The name of one of several audiences proves nothing, because people rename audiences.
    """
    is_one_audience = len({member.audience.id for member in members}) == 1
    if not is_one_audience and split_variant(variant) is None:
        variant = None
    for name in filter(None, (wanted, variant)):
        named = [member for member in members if AudienceRef(None, member.audience.name).matches(name)]
        if len(named) == 1 and (wanted in (name, None, named[0].audience.id)):
            return named
    variants: dict[str | None, list[Member]] = {}
    for member in members:
        variants.setdefault(member.audience.id, []).append(member)
    audiences = [
        AudienceRef(audience_id, common_name(member.audience.name for member in group))
        for audience_id, group in variants.items()
    ]
    return list(variants.values())[choose(audiences, wanted, file)]


def _unpack(archive: zip_archive.Archive, name: str, target: Path, file: SourceFile) -> SourceFile:
    archive.extract(name, target)
    return SourceFile(target, readable(PurePosixPath(name).name), archive=file.name)


def _read_variants(
    con: "duckdb.DuckDBPyConnection",
    file: SourceFile,
    members: Sequence[Member],
    unpacked: Sequence[SourceFile],
    manifest: Manifest,
) -> Source:
    """Read the variants of an audience as one, and compare them with the manifest."""
    files = [_detect_download(csv_file) for csv_file in unpacked]
    counts_by_file = [download_csv.stage_rows(con, csv_file) for csv_file in files]
    for member, csv_file, counts in zip(members, files, counts_by_file, strict=True):
        check_rows(member.expected, download_csv.rows_by_type(counts), csv_file)
    all_counts = [count for counts in counts_by_file for count in counts]
    check_rows(manifest.total, download_csv.rows_by_type(all_counts), file)
    with_rows = [csv_file for csv_file, counts in zip(files, counts_by_file, strict=True) if counts] or files[:1]
    if len({csv_file.layout for csv_file in with_rows}) > 1:
        raise file.error("contains CSV files with different layouts. Download the audience again.")
    if len(files) > 1:
        first = 0
        for member, csv_file, counts in zip(members, files, counts_by_file, strict=True):
            rows = sum(count.rows for count in counts)
            check_users(member.expected, count_profiles(con, first, rows, csv_file), csv_file)
            first += rows
    profiles = download_csv.gather_profiles(con, with_rows[0], all_counts)
    if len(files) == 1:
        check_users(members[0].expected, profiles.users, files[0])
        check_users(manifest.total, profiles.users, file)
    if len(members) > 1:
        names = listing([member.audience for member in members])
        profiles = replace(profiles, notes=(*profiles.notes, _TOGETHER.format(len(members), names)))
    audience = AudienceRef(members[0].audience.id, common_name(member.audience.name for member in members))
    return download_csv.source_of(file.name, audience, all_counts, profiles, manifest)


def _detect_download(file: SourceFile) -> SourceFile:
    detected = detect(file)
    if detected.kind is not FileFormat.DOWNLOAD_CSV:
        raise file.error("does not have the columns of an audience download. Download the audience again.")
    return detected.file
