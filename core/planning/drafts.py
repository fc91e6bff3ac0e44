"""Drafts of batches: a batch's entries, joined column by column. core/models/batch.py describes the format."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from core.models.batch import BATCH_SIZE, BatchFields, Phase
from core.store.batches import Draft

#: Between the values of a column, by column: role, member key, email, user id, more values.
SEPARATORS = ("", ",", ",", ",", "],[")
#: Bytes of the members in a request with data fields. Iterable accepts 4 MB in all.
MOST_BYTES = 3_900_000
# Bytes of a member without the values: {"email":,"userId":,"dataFields":},
_AROUND = 40


def draft(phase: Phase, columns: Sequence[str], sent: int, counted: int, fields: BatchFields | None = None) -> Draft:
    """Return a batch. `columns`: joined by SEPARATORS; `sent` and `counted`: the numbers of such entries."""
    role, profiles, emails, user_ids, more = columns
    members = f'"role":"{role}","profile":[{profiles}],"email":[{emails}],"user_id":[{user_ids}]'
    if more.strip("],["):  # otherwise it contains separators only
        members += f',"more":[[{more}]]'
    return Draft(phase=phase, sent_size=sent, counted_size=counted, members=f"{{{members}}}", data_fields=fields)


def drafts_of_rows(phase: Phase, rows: Sequence[Sequence[Any]], most: int) -> Iterator[Draft]:
    """Yield the batches of few entries, without Arrow, with up to so many leading entries.

    `rows`: role, whether it counts, whether it leads, and as JSON the member key, email, user id and more values.
    """
    leading = [place for place, (_, _, leads, *_) in enumerate(rows) if leads]
    for low, high in pairwise([0, *leading[most::most], len(rows)]):
        if low < high:
            roles, counts, leads, *values = zip(*rows[low:high], strict=True)
            joined = [separator.join(column) for separator, column in zip(SEPARATORS, (roles, *values), strict=True)]
            yield draft(phase, joined, sum(leads), sum(counts))


def bounds_by_size(leads: Sequence[bool], lengths: Sequence[int]) -> list[int]:
    """Return where batches with data fields begin: 0, and each leading entry that does not fit into the batch before.

    `leads` is whether each entry leads, and `lengths` how many bytes its values have. Entries that are not sent stay
    with the one before.
    """
    bounds, members, size = [0], 0, 0
    for place, (is_leading, of_values) in enumerate(zip(leads, lengths, strict=True)):
        if not is_leading:
            continue
        length = of_values + _AROUND
        if members and (members == BATCH_SIZE or size + length > MOST_BYTES):
            bounds.append(place)
            members, size = 0, 0
        members += 1
        size += length
    return bounds
