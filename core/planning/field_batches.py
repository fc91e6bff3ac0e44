"""Batches with data fields: they end at a number of bytes, too, because a request may have at most 4 MB."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from core.models.batch import BATCH_SIZE, BatchFields, FieldsOfMember

#: Bytes of the members in a request. Iterable accepts 4 MB in all.
MOST_BYTES = 3_900_000
# Bytes of a member without the values: {"email":,"userId":,"dataFields":},
_AROUND = 40


def bounds_by_size(rows: pa.Table) -> list[int]:
    """Return where batches begin in these rows: 0, and each leading entry that does not fit into the batch before.

    Entries that are not sent stay with the one before.
    """
    lengths = [pc.fill_null(pc.binary_length(rows[name]), 0).to_pylist() for name in ("email", "user_id", "fields")]
    bounds, members, size = [0], 0, 0
    for place, (leads, *of_row) in enumerate(zip(rows["leads"].to_pylist(), *lengths, strict=True)):
        if not leads:
            continue
        length = sum(of_row) + _AROUND
        if members and (members == BATCH_SIZE or size + length > MOST_BYTES):
            bounds.append(place)
            members, size = 0, 0
        members += 1
        size += length
    return bounds


def fields_of_batches(column: pa.ChunkedArray, bounds: Sequence[int]) -> Iterator[BatchFields | None]:
    """Yield the data fields of the members between each pair of bounds; None if there are none.

    The values of the column are pairs of a JSON object: the member key, and an array of digest and fields.
    """
    values = column.to_pylist()
    for low, high in pairwise(bounds):
        pairs = [value for value in values[low:high] if value is not None]
        members = orjson.loads(f"{{{','.join(pairs)}}}") if pairs else {}
        yield {key: FieldsOfMember(*of_member) for key, of_member in members.items()} or None
