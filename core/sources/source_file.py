"""One file to be read: where it lies, what it is called, and how its text is laid out."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import InputError
from core.sources.sql_expressions import literal

# What would move the cursor of a terminal, break a line of a table or turn its writing around.
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# In letters. File systems take names of 255 bytes.
LONGEST_NAME = 255
LONGEST_MESSAGE = 1_500

# Unpacked, in bytes: a thousand million rows.
LARGEST = 64 << 30
# An audience packs about 4 to 1, and text that repeats itself perhaps 50 to 1; a bomb a thousand to 1.
HIGHEST_RATIO = 200
# Below this size the ratio doesn't matter.
SMALL = 16 << 20

_PATTERN = re.compile(r"[\[*?\\]")


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file separates its cells, and the names in its header."""

    delimiter: str
    columns: tuple[str, ...]
    #: Blank lines in front of the header.
    skip: int = 0
    #: White space can stand around a cell: it belongs to the separator, not to the value.
    padded: bool = False


class UnpackLimit:
    """What may come out of a file that a person gave, over all layers of packing and all files inside."""

    def __init__(self, packed: int) -> None:
        """Take the size of the file as it was given, in bytes."""
        self._packed = packed
        self._unpacked = 0

    def add(self, size: int, file: "SourceFile") -> None:
        """Count bytes that were unpacked, or are about to be. Raises InputError if they are too many by now."""
        self._unpacked += size
        refuse_bomb(self._unpacked, self._packed, file)


@dataclass(frozen=True)
class SourceFile:
    """A file on disk and the name that a person knows it by, which is all that errors show of it."""

    path: Path
    name: str
    layout: CsvLayout = CsvLayout(",", ())
    #: The ZIP that it was unpacked from, or the folder that it lies in.
    archive: str | None = None
    #: The columns that a person has chosen: what each means (`email`, `customer_id`, `mpid`) and its name.
    chosen_columns: tuple[tuple[str, str], ...] = ()
    #: The sheet of a workbook that a person has chosen.
    sheet: str | None = None
    #: It holds one JSON array, and not one object after the other.
    is_array: bool = False
    #: What a person should know of how the file was opened, a sentence each.
    notes: tuple[str, ...] = ()
    #: Counts what is unpacked of the file that a person gave, of which this one comes.
    limit: UnpackLimit | None = field(default=None, compare=False)

    @property
    def given(self) -> str:
        """The name of the file that a person gave."""
        return self.archive or self.name

    @property
    def shown(self) -> str:
        """The name in an error."""
        return f"{self.archive}/{self.name}" if self.archive else self.name

    @property
    def sql(self) -> str:
        """The path as an SQL literal. It must not be a pattern (see scratch.py)."""
        return literal(str(self.path))

    def error(
        self,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        kind: type[InputError] = InputError,
    ) -> InputError:
        """What to raise if the file can't be used."""
        return kind(readable(message, LONGEST_MESSAGE), path=self.shown, line=line, column=column)


def readable(text: str, longest: int = LONGEST_NAME) -> str:
    """A text out of a file as it can be shown to a person: on one line, of some length, without control characters."""
    plain = _UNREADABLE.sub("?", text[: longest + 1])
    return plain if len(plain) <= longest else plain[: longest - 2] + "…" + plain[-1:]


def refuse_bomb(unpacked: int, packed: int, file: SourceFile) -> None:
    """Refuse what is packed so that it becomes far larger than it looks."""
    if unpacked > LARGEST or (unpacked > SMALL and unpacked > HIGHEST_RATIO * packed):
        raise file.error("unpacks to far more than an audience does. This is not from mParticle: don't open it.")


def is_pattern(path: Path) -> bool:
    """Whether DuckDB takes a path for a pattern that stands for other files, or a sign in it for a separator."""
    return _PATTERN.search(str(path)) is not None
