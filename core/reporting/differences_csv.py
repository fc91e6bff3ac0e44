"""The CSV file of people who are missing on a list, or on it without being ours."""

from collections.abc import Sequence

from core.reporting.rejected_csv import harmless

CSV_HEADER = ("difference", "what_it_means", "profile", "email", "user_id")
_MEANINGS = {
    "missing": "Synced to the list, and not on it now.",
    "extra": "On the list, and not synced to it.",
}


def csv_rows(rows: Sequence[tuple[str, str, str | None, str | None]]) -> list[tuple[str, ...]]:
    """Return the rows of the file: difference ("missing" or "extra"), meaning, member key, email, user id."""
    return [(kind, _MEANINGS[kind], *(harmless(cell or "") for cell in cells)) for kind, *cells in rows]
