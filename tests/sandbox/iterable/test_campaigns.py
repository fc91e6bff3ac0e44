"""Campaigns are described, filtered and paged as Iterable does."""

from __future__ import annotations

from sandbox.iterable import Running
from tests.sandbox.iterable.conftest import HYBRID_LIST, LIST, Client

CAMPAIGNS = "/api/campaigns"


async def test_campaigns_by_state(client: Client, iterable: Running) -> None:
    """`campaignState` may be repeated; a campaign that is due runs, and has ended after a while."""
    now = iterable.state.now_ms()
    add = iterable.state.add_campaign
    add("Later", [LIST], start_at=now + 3_600_000, suppression_list_ids=[1002])
    add("Now", [LIST], start_at=now - 1_000)
    add("Over", [LIST], start_at=now - 120_000)
    add("Draft", [], start_at=None, state="Draft")

    due = await client.get(f"{CAMPAIGNS}?campaignState=Scheduled&campaignState=Running&page=1&pageSize=1000")

    later, current = due.data["campaigns"]
    assert (later["listIds"], later["suppressionListIds"]) == ([LIST], [1002])
    assert (later["campaignState"], later["startAt"]) == ("Scheduled", now + 3_600_000)
    assert (current["name"], current["campaignState"]) == ("Now", "Running")
    assert "suppressionListIds" not in current
    assert [each["name"] for each in (await client.get(CAMPAIGNS)).data["campaigns"]] == [
        "Later",
        "Now",
        "Over",
        "Draft",
    ]


async def test_pages(client: Client, iterable: Running) -> None:
    """A page says whether another one follows; what the description does not name is refused."""
    for number in range(3):
        iterable.state.add_campaign(f"C{number}", [LIST], start_at=None, state="Ready")

    first = (await client.get(f"{CAMPAIGNS}?page=1&pageSize=2&sort=-name")).data
    last = (await client.get(f"{CAMPAIGNS}?page=2&pageSize=2&sort=-name")).data

    assert [each["name"] for each in first["campaigns"] + last["campaigns"]] == ["C2", "C1", "C0"]
    assert ("nextPageUrl" in first, "nextPageUrl" in last, last["totalCampaignsCount"]) == (True, False, 3)
    for query in ("pageSize=1001", "campaignState=Sent", "sort=size", "state=Ready"):
        assert (await client.get(f"{CAMPAIGNS}?{query}")).status == 400


async def test_campaigns_are_scheduled_over_the_control_api(client: Client) -> None:
    """The control API schedules a campaign of one project's lists, and changes its state."""
    body = {"name": "Spring launch", "listIds": [LIST], "inMinutes": 60}
    campaign = (await client.post("/_sandbox/campaigns", body)).data
    refused = await client.post("/_sandbox/campaigns", {**body, "listIds": [LIST, HYBRID_LIST]})
    await client.request("PATCH", f"/_sandbox/campaigns/{campaign['id']}", {"state": "Finished"})

    overview = (await client.get("/_sandbox")).data["projects"][0]["campaigns"]

    assert refused.status == 400
    assert [(each["name"], each["campaignState"]) for each in overview] == [("Spring launch", "Finished")]
