"""Excel workbooks (.xlsx): one sheet is written as CSV, with ids as text, and read like any other table."""

import csv
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from core.sources.duckdb_errors import disk_errors
from core.sources.field_columns import workbook_value
from core.sources.source_file import SourceFile
from core.sources.workbook_errors import DAMAGE, error_cells

# Unpacked, in bytes: a sheet of a million rows. The reader keeps a sheet in memory.
LARGEST_WORKBOOK = 512 << 20
# Excel keeps 15 digits of a number. Longer numbers have lost their last digits.
_FIRST_INEXACT = 10**15


def sheet_as_csv(file: SourceFile, folder: Path, sheet: str | None) -> tuple[SourceFile, tuple[str, ...]]:
    """Write a sheet (default: the first) to a CSV file in `folder`. Returns that file, and notes for people.

    Raises InputError if the workbook can't be read, has no such sheet, or has a number with more than 15 digits.
    """
    import python_calamine as calamine

    workbook = None
    with suppress(calamine.CalamineError, OSError, ValueError):
        workbook = calamine.CalamineWorkbook.from_path(str(file.path))
    if workbook is None:
        raise file.error(
            "is not an Excel workbook that can be read: it is damaged or protected. Save it as CSV (UTF-8)."
        )
    names = list(workbook.sheet_names)
    if not names:
        raise file.error("has no sheet. Save the audience as CSV (UTF-8).")
    chosen = _chosen(names, sheet, file)
    target = folder / "sheet.csv"
    rows = None
    with suppress(calamine.CalamineError, ValueError):
        rows = workbook.get_sheet_by_name(chosen).iter_rows()
    errors = None
    with suppress(*DAMAGE):
        errors = error_cells(file.path, chosen)
    if rows is None or errors is None:  # without its errors, "#N/A" would be an empty cell
        raise file.error("has a sheet that can't be read. Save it as CSV (UTF-8).")
    with disk_errors(), target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        places: set[int] | None = None
        for number, row in enumerate(rows, start=1):
            cells = [_text(cell, number, file) for cell in row]
            if errors:
                cells = [errors.get((number, place), cell) for place, cell in enumerate(cells)]
            if places is not None:
                for place in places:
                    cells[place : place + 1] = [workbook_value(cell) for cell in row[place : place + 1]]
            elif file.field_columns:
                places = _field_places(row, file)
            writer.writerow(cells)
    others = [name for name in names if name != chosen]
    note = (f"The sheet {chosen} was read, and not {', '.join(others[:5])}.",) if others and sheet is None else ()
    return replace(file, path=target, has_typed_fields=True), note


def _field_places(row: Sequence[Any], file: SourceFile) -> set[int] | None:
    """Return the places of the data fields, if a row is the header, else None."""
    names = [str(cell).strip().casefold() for cell in row]
    wanted = [name.strip().casefold() for name in file.field_columns]
    return {names.index(name) for name in wanted} if set(wanted) <= set(names) else None


def _chosen(names: list[str], sheet: str | None, file: SourceFile) -> str:
    if sheet is None:
        return names[0]
    for name in names:
        if name.strip().casefold() == sheet.strip().casefold():
            return name
    raise file.error(f"has no sheet {sheet}, but {', '.join(names[:10])}.")


def _text(cell: Any, row: int, file: SourceFile) -> str:
    """Return a cell as text, whole numbers without a decimal point."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float | int):
        if abs(cell) >= _FIRST_INEXACT:
            raise file.error(
                "a number has more than 15 digits, and Excel keeps no more: the last digits of an id are lost. Format "
                "the column as text before the ids are entered, or use the file as exported.",
                line=row,
            )
        return str(int(cell)) if cell == int(cell) else str(cell)
    if isinstance(cell, datetime | date):
        return cell.isoformat(sep=" ") if isinstance(cell, datetime) else cell.isoformat()
    return str(cell)
