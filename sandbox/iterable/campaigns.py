"""Campaigns, and the endpoint `GET /api/campaigns`.

Iterable's API description 1.8: `campaignState` may be repeated, pages have 20 campaigns or up to 1,000, and
`nextPageUrl` is there if another page follows. Without `page` and `pageSize` the answer has all campaigns. `startAt`,
`listIds` and `suppressionListIds` may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from sandbox.iterable.responses import Answer, bad_params

if TYPE_CHECKING:
    from sandbox.iterable.request import Call

CampaignState = Literal[
    "Draft", "Ready", "Scheduled", "Running", "Finished", "Starting", "Aborted", "Recurring", "Archived"
]
STATES: Final[tuple[str, ...]] = get_args(CampaignState)

_PAGE_SIZE, _LARGEST_PAGE = 20, 1000
_SORTS: Final = frozenset({"id", "name", "createdAt", "updatedAt", "startAt"})


@dataclass(slots=True)
class Campaign:
    """A campaign of a project. Times are in milliseconds since 1970.

    A scheduled one is Running from `start_at` on, and Finished after `send_ms`.
    """

    id: int
    project: str
    name: str
    state: CampaignState
    list_ids: tuple[int, ...]
    suppression_list_ids: tuple[int, ...]
    start_at: int | None
    created_at: int
    send_ms: int = 60_000

    def state_at(self, now_ms: int) -> CampaignState:
        """Return the state at a time."""
        if self.state != "Scheduled" or self.start_at is None or now_ms < self.start_at:
            return self.state
        return "Running" if now_ms < self.start_at + self.send_ms else "Finished"

    def described(self, now_ms: int) -> dict[str, object]:
        """Return the campaign as in `GET /api/campaigns`."""
        shown: dict[str, object] = {
            "id": self.id,
            "createdAt": self.created_at,
            "updatedAt": self.created_at,
            "name": self.name,
            "createdByUserId": "marketer@example.com",
            "messageMedium": "Email",
            "type": "Blast",
            "campaignState": self.state_at(now_ms),
        }
        if self.start_at is not None:
            shown["startAt"] = self.start_at
        if self.list_ids:
            shown["listIds"] = list(self.list_ids)
        if self.suppression_list_ids:
            shown["suppressionListIds"] = list(self.suppression_list_ids)
        return shown


def campaigns(call: Call) -> Answer:
    """`GET /api/campaigns`."""
    states = call.params("campaignState")
    if unknown := [each for each in states if each not in STATES]:
        raise bad_params(f"[{call.path}] there is no campaignState {unknown[0]}")
    sort = call.param("sort", "id")
    if sort.lstrip("+-") not in _SORTS:
        raise bad_params(f"[{call.path}] can't sort by {sort}")
    now_ms = call.state.now_ms()
    rows = [each.described(now_ms) for each in call.state.campaigns_of(call.project)]
    rows = [row for row in rows if not states or row["campaignState"] in states]
    key = sort.lstrip("+-")
    rows.sort(key=lambda row: _sortable(row.get(key)), reverse=sort[0] == "-")
    if "page" not in call.query and "pageSize" not in call.query:
        return Answer.json({"campaigns": rows})
    return Answer.json(_page(call, rows))


def _sortable(value: object) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (0, str(value or ""))


def _page(call: Call, rows: list[dict[str, object]]) -> dict[str, object]:
    page, size = call.int_param("page", 1), call.int_param("pageSize", _PAGE_SIZE)
    if page < 1 or not 1 <= size <= _LARGEST_PAGE:
        raise bad_params(f"[{call.path}] page starts at 1, and pageSize is from 1 to {_LARGEST_PAGE}")
    first = (page - 1) * size
    answer: dict[str, object] = {"campaigns": rows[first : first + size], "totalCampaignsCount": len(rows)}
    if first + size < len(rows):
        answer["nextPageUrl"] = f"{call.path}?page={page + 1}&pageSize={size}"
    if page > 1:
        answer["previousPageUrl"] = f"{call.path}?page={page - 1}&pageSize={size}"
    return answer
