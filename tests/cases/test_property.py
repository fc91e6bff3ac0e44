"""Properties of any table: every row is counted, and the list has exactly the expected addresses."""

import csv
import random
from pathlib import Path

import pytest

from tests.core.databases import sampled
from tests.core.harness import WALKS, RunStatus, Sync

MPIDS = ["", "", "", "1", "2", "-3", "0", "\\N", " 4 "]
EMAILS = [
    *("ann@example.com", "ANN@example.com ", "<ann@example.com>", "bob@example.com", "\u200bbob@example.com"),
    *(
        "cid@example.com",
        "mailto:eve@example.com",
        "eve@example.com,",
        "",
        "NULL",
        "n/a",
        "ann..x@example.com",
        "not an address",
    ),
]
CUSTOMER_IDS = ["", "c1", "c1", "c2", " c2", "c3", "c4", "NULL", "undefined", "-"]
NOTES = ["", "", "x"]
NOTHING = {"", "null", "\\n", "n/a", "undefined", "-"}

Row = tuple[str, str, str, str]


def expected_result(rows: list[Row]) -> tuple[int, int, set[str]]:
    """The number of rows that count, the number of people, and the expected addresses on the list."""
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    people: dict[object, dict[str, str]] = {}
    for number, row in enumerate(filled):
        mpid, email, customer = (cell.strip("\u200b <>,").removeprefix("mailto:").lower() for cell in row[:3])
        email, customer = ("" if text in NOTHING else text for text in (email, customer))
        mpid = "" if mpid in NOTHING | {"0"} else mpid
        person = people.setdefault(mpid or (customer, email) if mpid or customer or email else number, {})
        person |= {"mpid": mpid, "at": f"{number:09}"}
        person |= {name: text for name, text in (("email", email), ("customer", customer)) if text}
    on_list = set()
    for person in people.values():
        email = person.get("email", "")
        rivals = [
            other["at"]
            for other in people.values()
            if not (other["mpid"] or person["mpid"]) and other.get("customer") == person.get("customer") != None  # noqa: E711
            if other.get("email")
        ]
        is_address = "@" in email and ".." not in email
        if is_address and person["at"] == max([*rivals, person["at"]]):
            on_list.add(email)
    return len(filled), len(people), on_list


@pytest.mark.parametrize("seed", sampled(range(6 * WALKS), 3))
async def test_any_table(tmp_path: Path, sync: Sync, seed: int) -> None:
    """Members and merged rows add up to the non-empty rows, the list is exact, and a repeated run sends nothing."""
    rng = random.Random(seed)
    size = rng.randrange(1, 25)
    rows = [(rng.choice(MPIDS), rng.choice(EMAILS), rng.choice(CUSTOMER_IDS), rng.choice(NOTES)) for _ in range(size)]
    with (tmp_path / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("mpid", "email", "customer_id", "note"), *rows])
    row_count, people, on_list = expected_result(rows)

    for requests in (None, 0):
        outcome = await sync.run(tmp_path / "table.csv", approved=True, allow_empty=True)
        plan = outcome.run.plan

        assert outcome.run.status is RunStatus.SUCCEEDED, outcome.run.error
        assert plan is not None
        assert (plan.rows_read, outcome.run.counters.members) == (row_count, people)
        assert plan.rows_merged + outcome.run.counters.members == row_count
        assert sync.emails() == on_list
        assert requests is None or outcome.run.requests == requests
