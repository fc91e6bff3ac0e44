"""The batches of many entries, in Arrow: columns are joined for all batches at once, without a Python object for each
entry.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from core.models.batch import Phase
from core.planning.drafts import SEPARATORS, draft
from core.planning.field_batches import bounds_of_rows, fields_of_batches
from core.store.batches import Draft

_JOINED = ("role", "member_key", "email", "user_id", "more")


def drafts_of_chunks(
    phase: Phase, chunks: Iterable[pa.RecordBatch], most: int, *, with_fields: bool
) -> Iterator[Draft]:
    """Yield the batches of the entries in these chunks, in their order, with up to so many leading entries.

    The columns are those of `drafts_of_rows`, by name: role, counts, leads, member_key, email, user_id, more, and
    fields (`with_fields`).
    """
    rest: pa.Table | None = None
    for chunk in chunks:
        rows = pa.Table.from_batches([chunk])
        rows = rows if rest is None else pa.concat_tables([rest, rows]).combine_chunks()
        # a batch ends before the leading entry that would be one too many
        if with_fields:
            bounds = bounds_of_rows(rows)
        else:
            bounds = [0, *pc.indices_nonzero(rows["leads"])[most::most].to_pylist()]
        yield from _cut(phase, rows, bounds)
        rest = rows.slice(bounds[-1])
    if rest is not None:
        yield from _cut(phase, rest, [0, rest.num_rows])


def _cut(phase: Phase, rows: pa.Table, bounds: list[int]) -> Iterator[Draft]:
    """Yield a draft for each pair of consecutive bounds, from the rows between them."""
    if len(bounds) < 2:
        return
    rows = rows.slice(0, bounds[-1])
    columns = (_joined(rows[name], separator, bounds) for name, separator in zip(_JOINED, SEPARATORS, strict=True))
    of_batches = fields_of_batches(rows["fields"], bounds) if "fields" in rows.column_names else None
    sizes, counted = (_totals(rows[name], bounds) for name in ("leads", "counts"))
    for *joined, size, counts in zip(*columns, sizes, counted, strict=True):
        yield draft(phase, joined, size, counts, next(of_batches) if of_batches is not None else None)


def _joined(values: pa.ChunkedArray, separator: str, bounds: list[int]) -> list[str]:
    joined: list[str] = pc.binary_join(pa.ListArray.from_arrays(bounds, values.combine_chunks()), separator).to_pylist()
    return joined


def _totals(flags: pa.ChunkedArray, bounds: list[int]) -> list[int]:
    """Return, for each pair of consecutive bounds, how many of the rows between them have the flag."""
    sums = [0, *pc.take(pc.cumulative_sum(flags.cast(pa.int64())), [bound - 1 for bound in bounds[1:]]).to_pylist()]
    return [after - before for before, after in pairwise(sums)]
