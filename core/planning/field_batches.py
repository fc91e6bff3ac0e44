"""Batches with data fields: they end at a number of bytes, too, because a request may have at most 4 MB."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from core.models.batch import BatchFields, FieldsOfMember
from core.planning.drafts import bounds_by_size


def bounds_of_rows(rows: pa.Table) -> list[int]:
    """Return where batches begin in these rows, by `bounds_by_size`."""
    lengths = (pc.fill_null(pc.binary_length(rows[name]), 0) for name in ("email", "user_id", "fields"))
    emails, user_ids, fields = lengths
    return bounds_by_size(rows["leads"].to_pylist(), pc.add(pc.add(emails, user_ids), fields).to_pylist())


def fields_of_batches(column: pa.ChunkedArray, bounds: Sequence[int]) -> Iterator[BatchFields | None]:
    """Yield the data fields of the members between each pair of bounds; None if there are none.

    The values of the column are pairs of a JSON object: the member key, and an array of digest and fields.
    """
    values = column.to_pylist()
    for low, high in pairwise(bounds):
        pairs = [value for value in values[low:high] if value is not None]
        members = orjson.loads(f"{{{','.join(pairs)}}}") if pairs else {}
        yield {key: FieldsOfMember(*of_member) for key, of_member in members.items()} or None
