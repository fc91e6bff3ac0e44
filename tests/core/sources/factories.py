"""Small audience files, in mParticle's formats."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HEADER = "mpid, scanned_timestamp_ms, identity_value, identity_type"
CSV_NAME = "8754_PotentialParisians_172136Nov292018.csv"

Identity = tuple[int, int, str, str]

HYDE: Identity = (5991422180106081928, 1538596729, "m.hyde@example.com", "email")
JEKYLL: Identity = (-1327484737295091692, 1538596779, "h.jekyll.md", "customer_id")
UTTERSON: Identity = (3269816782460039080, 1580148438137, "74587f4b-3ed5-492f-a0f5-9a6c4578673d", "ios_idfv")


def download_csv(rows: Iterable[Identity] = (HYDE, JEKYLL, UTTERSON), separator: str = ", ") -> str:
    """The text of a downloaded CSV."""
    header = HEADER.replace(", ", separator)
    lines = [separator.join(quoted(str(cell), separator) for cell in row) for row in rows]
    return "\n".join([header, *lines, ""])


def quoted(cell: str, separator: str = ", ") -> str:
    """A cell, in quotation marks if it needs them."""
    needs_quotes = (
        any(mark in cell for mark in (separator.strip() or separator, '"', "\n", "\r")) or cell != cell.strip()
    )
    return '"' + cell.replace('"', '""') + '"' if needs_quotes else cell


def counts(rows: Iterable[Identity]) -> dict[str, Any]:
    """The counts of a manifest."""
    rows = list(rows)
    kinds = [row[3] for row in rows]
    return {
        "total_users": len({row[0] for row in rows}),
        "total_rows": len(rows),
        "rows_by_identity": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
    }


def manifest(files: Mapping[str, Iterable[Identity]], **changed: Any) -> dict[str, Any]:
    """The manifest of a download."""
    everything = [row for rows in files.values() for row in rows]
    total = counts(everything)
    return {
        "archive_name": "audience.zip",
        "id": "5bd6c1e4-7b52-4e42-8e1e-1f2b2c3d4e5f",
        "audience_ids": sorted({int(name.split("_")[0]) for name in files}),
        "included_identities": ["customer_id", "email"],
        "manifest_generated": "2019-01-02T21:06:20.0216776Z",
        "min_timestamp_ms": 0,
        "max_timestamp_ms": 0,
        "total_rows": total["total_rows"],
        "rows_by_identity": total["rows_by_identity"],
        "files": [{"file_name": name, **counts(rows)} for name, rows in files.items()],
        **changed,
    }


def download_zip(
    path: Path, files: Mapping[str, Iterable[Identity]] | None = None, manifest_content: Mapping[str, Any] | None = None
) -> Path:
    """A downloaded ZIP; `manifest_content` replaces its correct manifest."""
    rows_by_file = {name: list(rows) for name, rows in (files or {CSV_NAME: [HYDE, JEKYLL, UTTERSON]}).items()}
    members = {name: download_csv(rows) for name, rows in rows_by_file.items()}
    return zip_of(path, {**members, "manifest.json": json.dumps(manifest_content or manifest(rows_by_file))})


def zip_of(path: Path, members: Mapping[str, str | bytes]) -> Path:
    """A ZIP with these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def change(
    mpid: int | str | None = 1, *, add: bool | None = True, stamp: int | str = 1594167374230, **identities: str
) -> str:
    """A line of a file in a bucket."""
    values = {**identities, **({} if mpid is None else {"mpid": str(mpid)})}
    return json.dumps({"IsAddRequest": add, "IdentityValues": values, "MembershipChangedTimestamp": stamp})


def message(
    customer_id: str | None = "p.fogg138",
    email: str | None = "phileas@example.com",
    *,
    member: bool = True,
    stamp: int | str = "1594167374",
    audience_id: int = 123123,
    audience_name: str = "LowEngagement",
    identities: Mapping[str, str] | None = None,
) -> str:
    """A message of a stream."""
    all_identities = {"CustomerId": customer_id, "Email": email, "Other": "balloondude83", **(identities or {})}
    return json.dumps(
        {
            "MembershipChangedTimestamp": stamp,
            "AudienceId": audience_id,
            "AudienceName": audience_name,
            "IsMember": member,
            "UserIdentities": {kind: value for kind, value in all_identities.items() if value is not None},
        }
    )


def table_csv(*rows: Iterable[str], delimiter: str = ",") -> str:
    """The text of a table."""
    return "".join(delimiter.join(quoted(cell, delimiter) for cell in row) + "\n" for row in rows)
