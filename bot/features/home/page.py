"""The part of the mappings that a person has on their Home page: a search, and pages."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.features.status.workspace_status import MappingStatusRow
from bot.ui.modal_state import Metadata

#: The most mappings on a page. With more than that, the page has a search.
PAGE_SIZE = 12
SEARCH_MAX_LENGTH = 100


class HomePage(Metadata):
    """What a person searches for, and the number of the page, from 0."""

    search: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class MappingPage:
    """The mappings of a page: `first` is the position of its first one, `count` how many there are that match."""

    rows: tuple[MappingStatusRow, ...]
    first: int
    count: int


def page_of(mapped: Sequence[MappingStatusRow], page: HomePage) -> MappingPage:
    """Return the mappings of a page. Behind the last page, it is the last one."""
    matching = [row for row in mapped if _matches(row, page.search)]
    last = max(0, (len(matching) - 1) // PAGE_SIZE)
    first = min(max(0, page.number), last) * PAGE_SIZE
    return MappingPage(tuple(matching[first : first + PAGE_SIZE]), first, len(matching))


def _matches(row: MappingStatusRow, search: str) -> bool:
    wanted = search.strip().casefold()
    names = (row.mapping.label, row.mapping.audience_name or "", row.list_name, row.connection.name)
    return any(wanted in name.casefold() for name in names)
