"""Writes the tables of docs/reference/formats.md from the code's own: `python -m tools.formats`."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from core.sources.compression import COMPRESSIONS
from core.sources.detection import FORMATS, FileFormat
from core.sources.fetch import BUCKETS
from core.sources.raw_identity import NULL_WORDS
from core.sources.table_columns import SPELLINGS
from core.sources.unreadable import NOT_READ

DOCUMENT = Path(__file__).parents[1] / "docs" / "reference" / "formats.md"
_MODES = {FileFormat.BUCKET_JSON: "**delta**", FileFormat.STREAM_JSON: "**delta**"}
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n\n).*?(?=\n\n)", re.DOTALL)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("| --- ", "|---").replace("|--- |", "|---|") for cells in lines)


def _formats() -> str:
    rows = [
        (each.title, each.recognized_by, each.written_by, _MODES.get(kind, "**mirror**"))
        for kind, each in FORMATS.items()
    ]
    return _table(("format", "recognized by", "written by", "default mode"), rows)


def _compressions() -> str:
    return "Compressed with " + ", ".join(name for name, _ in COMPRESSIONS.values()) + ", or in a ZIP"


def _places() -> str:
    rows = [("`https://`, `http://`", "-")]
    rows += [(f"`{scheme}://`", f"`iterable-sync[{extra}]`") for scheme, extra in BUCKETS.items()]
    return _table(("address", "package"), rows)


def _columns() -> str:
    rows = [(name, ", ".join(f"`{spelling}`" for spelling in spellings)) for name, spellings in SPELLINGS.items()]
    return _table(("column", "accepted names (in any case; spaces, `_` and `-` are ignored)"), rows)


def _words() -> str:
    return ", ".join(f"`{word}`" for word in NULL_WORDS)


def _not_read() -> str:
    return _table(("a file that", ""), [_halves(message) for message in dict.fromkeys(NOT_READ.values())])


def _halves(message: str) -> tuple[str, str]:
    what, _, remedy = message.partition(". ")
    return what, remedy


TABLES: dict[str, Callable[[], str]] = {
    "formats": _formats,
    "compressions": _compressions,
    "places": _places,
    "columns": _columns,
    "words": _words,
    "not_read": _not_read,
}


def rendered(document: str) -> str:
    """Return the document with its tables generated from the code."""
    return _TABLE.sub(lambda match: match[1] + TABLES[match[2]](), document)


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
