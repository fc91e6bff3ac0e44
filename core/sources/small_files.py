"""Small files, read without DuckDB: it takes longer to open than some thousand plain members take in Python.

Only what is surely plain is read here: no quotation marks, and identities that no rule changes
(core/sources/row_flags.py). For any other file the answer is None, and `core.sources.read` reads it in DuckDB, with the
same result or with an error. Recognizing the format, the columns, the audience and the manifest is the same code in
both, and tests read each file with both.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from core.sources import small_download, small_table
from core.sources.content_digest import state_of
from core.sources.plain_cells import NotPlainError, ProfileRow, require
from core.sources.source import Source
from core.sources.source_file import given_file

#: Files with more bytes for each profile are not read here: their rows have much that is not needed.
MOST_BYTES_A_PROFILE = 250


@dataclass(frozen=True, slots=True)
class SmallAudience:
    """An audience that was read: its description, the rows of the table `source`, and the digest of the file."""

    source: Source
    rows: list[ProfileRow]
    digest: str


def read_small(
    path: Path,
    *,
    most_profiles: int,
    audience: str | None = None,
    variant: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> SmallAudience | None:
    """Read a plain file of at most `most_profiles` profiles. Returns None if it is not surely one, or is faulty.

    `audience`, `variant` and `columns` are as in `core.sources.read`. Reads the file, so call it in a thread.
    """
    try:
        before = path.stat()
        str(path).encode()  # a name that is no text is refused
        require(path.is_file() and before.st_size <= most_profiles * MOST_BYTES_A_PROFILE)
        content = path.read_bytes()
        file = given_file(path, columns)
        if content.startswith(small_download.ZIP):
            source, rows = small_download.read_zip(file, audience, variant)
        else:
            source, rows = small_table.read_text(file, content, audience)
        require(len(rows) <= most_profiles and state_of(path.stat()) == state_of(before))
    except (NotPlainError, InputError, OSError, ValueError):  # `core.sources.read` says what is wrong
        return None
    return SmallAudience(source, rows, hashlib.sha256(content).hexdigest())
