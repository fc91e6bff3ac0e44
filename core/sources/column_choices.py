"""The columns of a table that a person chooses, in the form `email=E-Mail`."""

from collections.abc import Sequence

from core.errors import InputError
from core.sources.table_columns import COLUMN_CHOICES

_FORM = ", ".join(f"{key}=NAME" for key in COLUMN_CHOICES)


def parse_choices(choices: Sequence[str]) -> dict[str, str]:
    """Return the names of the columns, keyed by identity: `email`, `customer_id`, `mpid`.

    Raises InputError if a choice has another form, or if there are two columns for one identity.
    """
    chosen: dict[str, str] = {}
    for choice in choices:
        key, equals, name = choice.partition("=")
        key = key.strip().lower().replace("-", "_").replace(" ", "_")
        if not equals or key not in COLUMN_CHOICES or not name.strip():
            raise InputError(f"Choose columns with {_FORM}, not with {choice!r}.")
        if key in chosen:
            raise InputError(f"Two columns are chosen for {key}. Choose one of them.")
        chosen[key] = name.strip()
    return chosen
