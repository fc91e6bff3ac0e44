"""A file of an audience: its path, its name for people, and the layout of its text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import InputError
from core.sources.sql_expressions import literal

# Characters that would move the cursor of a terminal, break a line of a table, or reverse the direction of writing.
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# In letters. File systems allow names of 255 bytes.
LONGEST_NAME = 255
LONGEST_MESSAGE = 1_500

# Unpacked, in bytes: a thousand million rows.
LARGEST = 64 << 30
# An audience is compressed about 4 to 1, repetitive text perhaps 50 to 1, and a bomb a thousand to 1.
HIGHEST_RATIO = 200
# Below this size, in bytes, the ratio doesn't matter.
SMALL = 16 << 20

_PATTERN = re.compile(r"[\[*?\\]")


@dataclass(frozen=True)
class CsvLayout:
    """The separator of a CSV file, and the names in its header."""

    delimiter: str
    columns: tuple[str, ...]
    #: Lines before the header.
    skip: int = 0
    #: Cells may have white space around them, which is not part of the value.
    padded: bool = False


class UnpackLimit:
    """The limit for the bytes that come out of a person's file, over all layers of packing and all files inside."""

    def __init__(self, packed: int) -> None:
        """Store the size of the person's file, in bytes."""
        self._packed = packed
        self._unpacked = 0

    def add(self, size: int, file: "SourceFile") -> None:
        """Count bytes that were unpacked, or are about to be. Raises InputError if the sum is too large."""
        self._unpacked += size
        refuse_bomb(self._unpacked, self._packed, file)


@dataclass(frozen=True)
class SourceFile:
    """A file on disk, and its name for people. Errors show the name, never the path."""

    path: Path
    name: str
    layout: CsvLayout = CsvLayout(",", ())
    #: The ZIP or folder that contains the file.
    archive: str | None = None
    #: The columns that a person has chosen: pairs of identity (`email`, `customer_id`, `mpid`) and name.
    chosen_columns: tuple[tuple[str, str], ...] = ()
    #: The columns whose values are read besides the identities.
    field_columns: tuple[str, ...] = ()
    #: The values in those columns have a type already (core/sources/field_columns.py).
    has_typed_fields: bool = False
    #: The sheet of a workbook that a person has chosen.
    sheet: str | None = None
    #: The file contains a JSON array, not a sequence of objects.
    is_array: bool = False
    #: What people should know about how the file was opened, a sentence each.
    notes: tuple[str, ...] = ()
    #: The limit for the bytes that are unpacked from the person's file, which this file comes from.
    limit: UnpackLimit | None = field(default=None, compare=False)

    @property
    def given(self) -> str:
        """The name of the file that a person gave."""
        return self.archive or self.name

    @property
    def shown(self) -> str:
        """The name in errors."""
        return f"{self.archive}/{self.name}" if self.archive else self.name

    @property
    def sql(self) -> str:
        """The path as an SQL literal. The path must not look like a pattern (see `Opener.plainly_named`)."""
        return literal(str(self.path))

    def error(
        self,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        kind: type[InputError] = InputError,
    ) -> InputError:
        """Return the error to raise if the file can't be used."""
        return kind(readable(message, LONGEST_MESSAGE), path=self.shown, line=line, column=column)


def given_file(
    path: Path, columns: Mapping[str, str] | None, *, fields: tuple[str, ...] = (), sheet: str | None = None
) -> SourceFile:
    """Return the file at a path that a person gave. `columns` and the rest are as in `core.sources.read`."""
    name = readable((path.name or str(path)).encode(errors="replace").decode())
    chosen = tuple(sorted((columns or {}).items()))
    return SourceFile(path, name, chosen_columns=chosen, field_columns=fields, sheet=sheet)


def readable(text: str, longest: int = LONGEST_NAME) -> str:
    """Return a text from a file in a form for people: on one line, at most `longest` letters, no control characters."""
    plain = _UNREADABLE.sub("?", text[: longest + 1])
    return plain if len(plain) <= longest else plain[: longest - 2] + "…" + plain[-1:]


def refuse_bomb(unpacked: int, packed: int, file: SourceFile) -> None:
    """Raise InputError if `packed` bytes unpack to far more bytes than an audience would."""
    if unpacked > LARGEST or (unpacked > SMALL and unpacked > HIGHEST_RATIO * packed):
        raise file.error("unpacks to far more data than an audience. This is not from mParticle: don't open it.")


def is_pattern(path: Path) -> bool:
    """Return whether DuckDB takes a path for a pattern of other files, or a character in it for a separator."""
    return _PATTERN.search(str(path)) is not None
