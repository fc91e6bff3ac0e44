"""One file to be read: where it lies, what it is called, and how its text is laid out."""

import re
from dataclasses import dataclass
from pathlib import Path

from core.audience.sql import literal
from core.errors import InputError


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file separates its cells, and the names in its header."""

    delimiter: str
    columns: tuple[str, ...]
    #: Blank lines in front of the header.
    skip: int = 0
    #: White space can stand around a cell: it belongs to the separator, not to the value.
    padded: bool = False


@dataclass(frozen=True)
class File:
    """A file on disk and the name that a person knows it by, which is all that errors show of it."""

    path: Path
    name: str
    layout: CsvLayout = CsvLayout(",", ())
    #: The ZIP that it was unpacked from.
    archive: str | None = None

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
        """The path as an SQL literal that DuckDB doesn't take for a pattern."""
        return literal(re.sub(r"([\[*?])", r"[\1]", str(self.path)))

    def error(self, message: str, *, line: int | None = None, column: int | None = None) -> InputError:
        """What to raise where the file can't be used."""
        return InputError(message, path=self.shown, line=line, column=column)
