"""What people, tests and panels can ask and tell."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.iterable.conftest import DYNAMIC, LIST, Client, Clock


async def test_the_overview_shows_projects_lists_requests_and_faults(client: Client) -> None:
    """One request tells what a panel shows."""
    await client.subscribe("a@example.com", "x@invalid.test")
    shown = (await client.get("/_sandbox")).data
    assert shown["projects"][0]["lists"][0] == {"id": LIST, "name": "Newsletter", "type": "Standard", "size": 1}
    assert [project["type"] for project in shown["projects"]] == ["email", "hybrid", "userId"]
    assert shown["totals"] == {"POST /api/lists/subscribe": {"200": 1}}
    assert (shown["subscribers"], shown["faults"], shown["inFlight"]) == (2, [], 0)


async def test_the_log_has_a_line_for_each_request(client: Client, clock: Clock) -> None:
    """A request is logged with what it was, when it arrived, and how it ended."""
    await client.subscribe("a@example.com", "b@example.com")
    clock.now = 1002.5
    await client.get(f"/api/lists/{LIST}/size")
    requests = (await client.get("/_sandbox/requests?path=/api/lists")).data["requests"]
    assert requests == [
        {
            "seq": 1,
            "at": 1000.0,
            "method": "POST",
            "path": "/api/lists/subscribe",
            "status": 200,
            "ms": 0.0,
            "subscribers": 2,
            "list_id": LIST,
            "fault": None,
        },
        {
            "seq": 2,
            "at": 1002.5,
            "method": "GET",
            "path": f"/api/lists/{LIST}/size",
            "status": 200,
            "ms": 0.0,
            "subscribers": 0,
            "list_id": LIST,
            "fault": None,
        },
    ]


@pytest.mark.parametrize(
    ("query", "seqs"),
    [
        ("", [1, 2, 3]),
        ("?path=/api/lists/subscribe", [1, 3]),
        ("?method=GET", [2]),
        ("?after=1", [2, 3]),
        ("?limit=1", [3]),
    ],
)
async def test_the_log_can_be_searched(client: Client, query: str, seqs: list[int]) -> None:
    """Requests are found by path, method and number."""
    await client.subscribe("a@example.com")
    await client.get("/api/lists")
    await client.subscribe("b@example.com")
    found = (await client.get(f"/_sandbox/requests{query}")).data["requests"]
    assert [one["seq"] for one in found] == seqs


async def test_arrivals_are_at_hand_in_process(client: Client, clock: Clock) -> None:
    """The log gives the times of arrival, for tests of the pace."""
    for clock.now in (1000.0, 1000.25, 1000.5):
        await client.subscribe("a@example.com")
    log = client.iterable.state.log
    assert log.arrivals("/api/lists/subscribe") == [1000.0, 1000.25, 1000.5]
    assert (log.total("/api/lists"), log.total(status=429)) == (3, 0)


async def test_the_log_can_be_emptied(client: Client) -> None:
    """A cleared log is empty."""
    await client.subscribe("a@example.com")
    await client.request("DELETE", "/_sandbox/requests")
    assert (await client.get("/_sandbox/requests")).data["requests"] == []


async def test_members_are_email_and_user_id(client: Client) -> None:
    """The members of a list, each with both identifiers."""
    await client.subscribe({"email": "a@example.com", "userId": "1"}, "b@example.com")
    members = (await client.get(f"/_sandbox/lists/{LIST}/members")).data
    assert members == [["a@example.com", "1"], ["b@example.com", None]]


async def test_history_shows_who_was_taken_off_and_put_on_again(client: Client) -> None:
    """Joins and leaves are counted per person; subscribing a member again is neither."""
    await client.subscribe("a@example.com", "b@example.com")
    await client.unsubscribe("a@example.com")
    await client.subscribe("a@example.com", "b@example.com", "b@example.com")
    history = (await client.get(f"/_sandbox/lists/{LIST}/history")).data
    assert history == {
        "joins": 3,
        "leaves": 1,
        "people": [["a@example.com", None, 2, 1], ["b@example.com", None, 1, 0]],
    }


async def test_history_can_be_off(client: Client) -> None:
    """Lists made while the setting is off keep no history."""
    await client.request("PATCH", "/_sandbox/settings", {"history": False})
    made = (await client.post("/_sandbox/lists", {"name": "Quick"})).data["id"]
    await client.subscribe("a@example.com", list_id=made)
    assert (client.iterable.state.size(made), client.iterable.state.history(made)) == (1, [])


async def test_a_list_of_any_type_can_be_made(client: Client) -> None:
    """Types that the API can't make, the sandbox can."""
    made = await client.post("/_sandbox/lists", {"name": "Rules", "type": "Dynamic"})
    shown = (await client.get("/api/lists")).data["lists"][-1]
    assert (shown["id"], shown["listType"]) == (made.data["id"], "Dynamic")


async def test_a_project_can_be_made(client: Client) -> None:
    """A new project has its key and no lists."""
    await client.post("/_sandbox/projects", {"name": "Mine", "type": "hybrid", "key": "mine"})
    assert (await client.get("/api/lists", key="mine")).data == {"lists": []}


async def test_reset_goes_back_to_the_samples(client: Client) -> None:
    """After a reset there are no people, requests or faults."""
    await client.subscribe("a@example.com")
    await client.post("/_sandbox/faults", {"action": "error", "path": "/api/users"})
    await client.post("/_sandbox/reset", {})
    shown = (await client.get("/_sandbox")).data
    assert (shown["projects"][0]["people"], shown["totals"], shown["faults"]) == (0, {}, [])


async def test_settings_are_shown_and_changed(client: Client) -> None:
    """A setting that is sent is taken, the others stay."""
    changed = await client.request(
        "PATCH", "/_sandbox/settings", {"max_subscribers": 9, "limits": {"bulk": 7, "size": {"seconds": 1}}}
    )
    assert changed.data["max_subscribers"] == 9
    assert changed.data["limits"]["bulk"] == {"count": 7, "seconds": 1.0}
    assert changed.data["limits"]["size"] == {"count": 5, "seconds": 1.0}
    assert changed.data["max_body"] == 4_000_000


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "/settings", {"nothing": 1}, 400),
        ("PATCH", "/settings", {"max_body": "1"}, 400),
        ("PATCH", "/settings", {"email_case": "odd"}, 400),
        ("PATCH", "/settings", {"limits": {"bulk": -1.5}}, 400),
        ("POST", "/lists", {"name": "a", "type": "Static"}, 400),
        ("POST", "/lists", {"name": "a", "project": "None"}, 404),
        ("POST", "/forget", {}, 400),
        ("POST", "/projects", {"name": "Sandbox", "key": "k"}, 400),
        ("POST", "/keys", {"key": "k", "status": "lost"}, 400),
        ("GET", "/lists/7/members", None, 404),
        ("GET", "/requests?limit=x", None, 400),
    ],
)
async def test_what_makes_no_sense_is_refused(
    client: Client, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    """The control API answers nonsense with a sentence."""
    reply = await client.request(method, f"/_sandbox{path}", body)
    assert (reply.status, bool(reply.data["error"])) == (status, True)


async def test_a_fault_is_logged_with_its_name(client: Client) -> None:
    """The log tells a fault from a failure, and status 0 from an answer."""
    await client.post("/_sandbox/faults", {"action": "error", "status": 503})
    await client.get("/api/lists")
    assert [(one.status, one.fault) for one in client.iterable.state.log.records] == [(503, "error")]


async def test_the_samples_have_a_list_of_each_type(client: Client) -> None:
    """Two lists that take people, and one of each type that does not."""
    types = {one["id"]: one["listType"] for one in (await client.get("/api/lists")).data["lists"]}
    assert types == {LIST: "Standard", 1002: "Standard", DYNAMIC: "Dynamic", 1004: "Suppression", 1005: "Internal"}
