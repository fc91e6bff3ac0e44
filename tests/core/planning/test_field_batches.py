"""Batches with data fields end where a request would have too many members or too many bytes."""

import pyarrow as pa
import pytest

from core.planning import drafts
from core.planning.field_batches import bounds_of_rows

#: Bytes of a member that `rows` makes: its email, user id and fields, and what is around them in a request.
BYTES = 100


def rows(leads: list[bool]) -> pa.Table:
    """Rows with BYTES bytes each. Those that lead are sent."""
    count = len(leads)
    return pa.table(
        {
            "leads": leads,
            "email": pa.array(["a@example.com"] * count),
            "user_id": pa.array([None] * count, pa.string()),
            "fields": pa.array(["x" * (BYTES - 40 - 13)] * count),
        }
    )


@pytest.mark.parametrize(
    ("most_bytes", "bounds"),
    [(3 * BYTES, [0, 3]), (3 * BYTES - 1, [0, 2, 4]), (BYTES, [0, 1, 2, 3, 4]), (BYTES - 1, [0, 1, 2, 3, 4])],
)
def test_bytes_of_a_batch(monkeypatch: pytest.MonkeyPatch, most_bytes: int, bounds: list[int]) -> None:
    """A batch has as many members as fit exactly, and one that fits nowhere has a batch of its own."""
    monkeypatch.setattr(drafts, "MOST_BYTES", most_bytes)
    assert bounds_of_rows(rows([True] * 5)) == bounds


def test_members_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small members are, a batch has at most BATCH_SIZE of them."""
    monkeypatch.setattr(drafts, "BATCH_SIZE", 2)
    assert bounds_of_rows(rows([True] * 5)) == [0, 2, 4]
    assert bounds_of_rows(rows([True] * 4)) == [0, 2]


def test_duplicates_stay_with_their_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that are not sent take no room, and belong to the batch of the one before."""
    monkeypatch.setattr(drafts, "MOST_BYTES", 2 * BYTES)
    assert bounds_of_rows(rows([True, False, False, True, False, True, False])) == [0, 5]
