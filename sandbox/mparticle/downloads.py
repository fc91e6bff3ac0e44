"""Audience downloads as mParticle makes them: a CSV for the audience or for each A/B variant of it, and a manifest.

Source: mParticle's documentation (guides/platform-guide/audiences, "Download Audience" and "A/B Testing"). An export
takes minutes to about six hours, and each profile's row has the time at which that profile was scanned. An A/B test has
up to five variants and a control; what the variants are called downstream is `[External name] - [Variant]`.
"""

import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.mparticle.messages import Audience, Profile

_HEADER = "mpid, scanned_timestamp_ms, identity_value, identity_type"


@dataclass(frozen=True)
class Scanned:
    """A profile as an export found it, and when (milliseconds since 1970)."""

    profile: Profile
    at_ms: int


def write_download(path: Path, exported: Mapping[Audience, Sequence[Scanned]], *, made_ms: int) -> Path:
    """Write a download of one audience or of its variants, made at that time (milliseconds). Returns the path."""
    entries: list[dict[str, Any]] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for audience, scanned in exported.items():
            rows = [row for each in scanned for row in _rows(each)]
            made = datetime.fromtimestamp(made_ms / 1000, UTC).strftime("%H%M%S%b%d%Y")
            entry = {"file_name": f"{audience.id}_{audience.name}_{made}.csv", "total_users": len(scanned)}
            lines = [_HEADER, *(", ".join(row) for row in rows)]
            archive.writestr(str(entry["file_name"]), "\n".join(lines) + "\n")
            entries.append({**entry, **_counts(rows)})
        everything = [row for scanned in exported.values() for each in scanned for row in _rows(each)]
        manifest = {
            "archive_name": path.name,
            "id": "00000000-0000-4000-8000-000000004711",
            "audience_ids": list(dict.fromkeys(audience.id for audience in exported)),
            "included_identities": ["customer_id", "email"],
            "manifest_generated": datetime.fromtimestamp(made_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.0000000Z"),
            **_counts(everything),
            "files": entries,
        }
        archive.writestr("manifest.json", json.dumps(manifest, indent=2))
    return path


def _rows(scanned: Scanned) -> list[tuple[str, str, str, str]]:
    identities = (("customer_id", scanned.profile.customer_id), ("email", scanned.profile.email))
    who, when = str(scanned.profile.mpid), str(scanned.at_ms)
    return [(who, when, value, kind) for kind, value in identities if value is not None]


def _counts(rows: Sequence[tuple[str, str, str, str]]) -> dict[str, Any]:
    stamps = [int(row[1]) for row in rows]
    return {
        "min_timestamp_ms": min(stamps, default=0),
        "max_timestamp_ms": max(stamps, default=0),
        "total_rows": len(rows),
        "rows_by_identity": dict(Counter(row[3] for row in rows)),
    }
