"""The manifest of an audience download: what the ZIP should contain, and the comparison with what it contains.

The format follows mParticle's documentation of audience downloads. Missing fields are not checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from core.sources.source_file import SourceFile, readable
from core.sources.sql_expressions import SECONDS_BELOW
from core.sources.staged_rows import EMAIL, KINDS

# A download has a CSV for each variant.
MOST_FILES = 1_000

TRUNCATED = "is truncated: {}. Download the audience again."


@dataclass(frozen=True)
class Expected:
    """The counts in a manifest, of all files or of one file. None: not counted."""

    name: str
    rows: int | None
    users: int | None
    by_type: dict[str, int]


NOT_COUNTED = Expected("", None, None, {})


@dataclass(frozen=True)
class Manifest:
    """The fields of a manifest that are used."""

    audience_ids: tuple[str, ...] = ()
    #: None if the manifest doesn't contain them.
    identities: tuple[str, ...] | None = None
    files: tuple[Expected, ...] = ()
    total: Expected = NOT_COUNTED
    newest_ms: int | None = None
    oldest_ms: int | None = None

    def require_email(self, file: SourceFile) -> None:
        """Raise InputError if the download contains no emails: none of its members could be added to a list."""
        if self.identities is not None and not any(KINDS.get(kind) == EMAIL for kind in self.identities):
            raise file.error("was made without email addresses. Download the audience again and choose Email there.")


NO_MANIFEST = Manifest()


def parse(content: bytes, file: SourceFile) -> Manifest:
    """Parse a manifest (JSON). Raises InputError for `file`, the ZIP, if it is not valid."""
    try:
        fields = orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as exc:
        line, column = exc.lineno, exc.colno
    else:
        if isinstance(fields, dict):
            if len(_list(fields.get("files"))) > MOST_FILES:
                raise file.error(
                    f"the manifest lists more than {MOST_FILES:,} files: this is not an audience download."
                )
            return _manifest(fields)
        line, column = 1, 1
    raise file.error("the manifest is not valid. Download the audience again.", line=line, column=column)


def check_rows(expected: Expected, rows_by_type: Mapping[str, int], file: SourceFile) -> None:
    """Raise InputError if the number of rows, in all or of a type of identity, differs from the manifest."""
    rows = sum(rows_by_type.values())
    if expected.rows is not None and expected.rows != rows:
        _refuse_truncated(file, f"it has {rows:,} rows, but its manifest counts {expected.rows:,}")
    for kind, count in expected.by_type.items():
        of_type = rows_by_type.get(kind, 0)
        if of_type != count:
            shown_type = readable(kind, 40)
            _refuse_truncated(file, f"it has {of_type:,} rows of type {shown_type}, but its manifest counts {count:,}")


def check_users(expected: Expected, users: int, file: SourceFile) -> None:
    """Raise InputError if the number of profiles differs from the manifest."""
    if expected.users is not None and expected.users != users:
        _refuse_truncated(file, f"it has {users:,} profiles, but its manifest counts {expected.users:,}")


def _refuse_truncated(file: SourceFile, difference: str) -> None:
    raise file.error(TRUNCATED.format(difference))


def _manifest(fields: dict[str, Any]) -> Manifest:
    files = [_expected(entry) for entry in _list(fields.get("files")) if isinstance(entry, dict)]
    identities = fields.get("included_identities")
    entries = [entry for entry in [fields, *_list(fields.get("files"))] if isinstance(entry, dict)]
    oldest, newest = (_stamps(entries, f"{end}_timestamp_ms") for end in ("min", "max"))
    return Manifest(
        audience_ids=tuple(str(identity) for identity in _list(fields.get("audience_ids"))),
        identities=None if identities is None else tuple(str(kind).strip().lower() for kind in _list(identities)),
        files=tuple(files),
        total=_expected(fields),
        newest_ms=max([*newest, *_moment(fields.get("manifest_generated"))], default=None),
        oldest_ms=min(oldest, default=None),
    )


def _expected(fields: dict[str, Any]) -> Expected:
    by_type = fields.get("rows_by_identity")
    counts = by_type if isinstance(by_type, dict) else {}
    return Expected(
        name=str(fields.get("file_name", "")),
        rows=_count(fields.get("total_rows")),
        users=_count(fields.get("total_users")),
        by_type={kind.strip().lower(): count for kind, count in counts.items() if _count(count) is not None},
    )


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _stamps(entries: Sequence[dict[str, Any]], name: str) -> list[int]:
    """The time stamps of a manifest, in milliseconds. mParticle writes 0 for none, and seconds as it does in rows."""
    stamps = [stamp for entry in entries if (stamp := _count(entry.get(name)))]
    return [stamp * 1000 if abs(stamp) < SECONDS_BELOW else stamp for stamp in stamps]


def _moment(value: object) -> list[int]:
    """Return a date of the manifest (with seven decimals of a second) in milliseconds, or nothing if it is none."""
    if not isinstance(value, str):
        return []
    try:
        moment = datetime.fromisoformat(value[:19])
    except ValueError:
        return []
    return [int(moment.replace(tzinfo=UTC).timestamp() * 1000)]
