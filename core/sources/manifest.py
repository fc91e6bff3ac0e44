"""The manifest of an audience download: what the ZIP should hold, and whether it does.

Format as in mParticle's documentation of audience downloads. A field that is missing is not checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from core.sources.source_file import SourceFile, readable
from core.sources.staging import EMAIL, KINDS

# A download has a CSV for each variant.
MOST_FILES = 1_000

TRUNCATED = "is truncated: {}. Download the audience again."


@dataclass(frozen=True)
class Expected:
    """The counts that a manifest gives, for the whole or for one file."""

    name: str
    rows: int | None
    users: int | None
    by_type: dict[str, int]


NOT_COUNTED = Expected("", None, None, {})


@dataclass(frozen=True)
class Manifest:
    """What matters of a manifest."""

    audience_ids: tuple[str, ...] = ()
    #: None where the manifest doesn't say.
    identities: tuple[str, ...] | None = None
    files: tuple[Expected, ...] = ()
    total: Expected = NOT_COUNTED
    newest_ms: int | None = None

    def require_email(self, file: SourceFile) -> None:
        """Refuse a download that was made without emails: nobody in it could be added to a list."""
        if self.identities is not None and not any(KINDS.get(each) == EMAIL for each in self.identities):
            raise file.error("was made without email addresses. Download the audience again and choose Email there.")


def parse(content: bytes, file: SourceFile) -> Manifest:
    """Read a manifest."""
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
    raise file.error(
        "the manifest is not the JSON that it should be. Download the audience again.", line=line, column=column
    )


def check_rows(expected: Expected, found: Mapping[str, int], file: SourceFile) -> None:
    """Refuse a file whose rows, counted by type of identity, are not those that the manifest counts."""
    rows = sum(found.values())
    if expected.rows is not None and expected.rows != rows:
        _truncated(file, f"it has {rows:,} rows where its manifest counts {expected.rows:,}")
    for kind, count in expected.by_type.items():
        here = found.get(kind, 0)
        if here != count:
            _truncated(file, f"it has {here:,} rows of type {readable(kind, 40)} where its manifest counts {count:,}")


def check_users(expected: Expected, found: int, file: SourceFile) -> None:
    """Refuse a file whose profiles are not as many as the manifest counts."""
    if expected.users is not None and expected.users != found:
        _truncated(file, f"it has {found:,} profiles where its manifest counts {expected.users:,}")


def _truncated(file: SourceFile, what: str) -> None:
    raise file.error(TRUNCATED.format(what))


def _manifest(fields: dict[str, Any]) -> Manifest:
    listed = [_expected(entry) for entry in _list(fields.get("files")) if isinstance(entry, dict)]
    identities = fields.get("included_identities")
    stamps = [
        stamp
        for entry in [fields, *_list(fields.get("files"))]
        if isinstance(entry, dict) and (stamp := _count(entry.get("max_timestamp_ms")))
    ]
    return Manifest(
        audience_ids=tuple(str(identity) for identity in _list(fields.get("audience_ids"))),
        identities=None if identities is None else tuple(str(kind).strip().lower() for kind in _list(identities)),
        files=tuple(listed),
        total=_expected(fields),
        newest_ms=max([*stamps, *_moment(fields.get("manifest_generated"))], default=None),
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


def _moment(value: object) -> list[int]:
    """A date as the manifest writes it, with seven decimals of a second, in milliseconds."""
    if not isinstance(value, str):
        return []
    try:
        moment = datetime.fromisoformat(value[:19])
    except ValueError:
        return []
    return [int(moment.replace(tzinfo=UTC).timestamp() * 1000)]
