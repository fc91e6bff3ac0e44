"""Writes rejected members to a file that only its owner may read."""

import asyncio
import csv
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

from core.errors import InputError
from core.reporting.rejected_csv import CSV_ENCODING, CSV_HEADER, csv_row
from core.store.rejections import CHUNK, Rejection


async def write(path: Path, rejected: AsyncIterator[Rejection]) -> None:
    """Write a CSV file with mode 0600. Raises InputError if it can't be written."""
    if str(path) == "-":
        raise InputError("Addresses are only ever written to a file. Give its name: --csv rejects.csv")
    file = None
    try:
        with open_private(path) as file:
            # quoted, so that only our separator separates cells
            rows = csv.writer(file, quoting=csv.QUOTE_ALL)
            rows.writerow(CSV_HEADER)
            chunk: list[tuple[str, ...]] = []
            async for rejection in rejected:
                chunk.append(csv_row(rejection))
                if len(chunk) == CHUNK:
                    await asyncio.to_thread(rows.writerows, chunk)
                    chunk = []
            rows.writerows(chunk)
    except OSError as error:
        if file is not None:
            await asyncio.to_thread(_remove, path)
        raise InputError(
            f"can't be written ({error.strerror}). Choose another file with --csv.", path=str(path)
        ) from error


def _remove(path: Path) -> None:
    """Remove an incomplete file, which looks like a complete one."""
    if path.is_file():
        path.unlink()


def open_private(path: Path) -> TextIO:
    """Open a file for a CSV that only its owner may read, in place of an existing one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):  # an existing file may be readable for others
        os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "w", encoding=CSV_ENCODING, newline="")
