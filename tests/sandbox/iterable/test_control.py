"""The control API: what people, tests and panels can read and change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.iterable.conftest import DYNAMIC, LIST, Client, Clock


async def test_the_overview_shows_projects_lists_requests_and_faults(client: Client) -> None:
    """One request returns everything that a panel shows."""
    await client.subscribe("a@example.com", "x@invalid.test")
    overview = (await client.get("/_sandbox")).data
    assert overview["projects"][0]["lists"][0] == {"id": LIST, "name": "Newsletter", "type": "Standard", "size": 1}
    assert [project["type"] for project in overview["projects"]] == ["email", "hybrid", "userId"]
    assert overview["totals"] == {"POST /api/lists/subscribe": {"200": 1}}
    assert (overview["subscribers"], overview["faults"], overview["inFlight"]) == (2, [], 0)


async def test_the_log_has_a_line_for_each_request(client: Client, clock: Clock) -> None:
    """The log has a record of each request, with its arrival time and result."""
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
    """The log is searched by path, method and number."""
    await client.subscribe("a@example.com")
    await client.get("/api/lists")
    await client.subscribe("b@example.com")
    records = (await client.get(f"/_sandbox/requests{query}")).data["requests"]
    assert [record["seq"] for record in records] == seqs


async def test_arrivals_in_process(client: Client, clock: Clock) -> None:
    """In the same process, the log returns arrival times, for tests of the rate limit."""
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
    """The control API returns each member's email and user id."""
    await client.subscribe({"email": "a@example.com", "userId": "1"}, "b@example.com")
    members = (await client.get(f"/_sandbox/lists/{LIST}/members")).data
    assert members == [["a@example.com", "1"], ["b@example.com", None]]


async def test_history_counts_joins_and_leaves(client: Client) -> None:
    """History counts joins and leaves of each person; subscribing a member again is neither."""
    await client.subscribe("a@example.com", "b@example.com")
    await client.unsubscribe("a@example.com")
    await client.subscribe("a@example.com", "b@example.com", "b@example.com")
    history = (await client.get(f"/_sandbox/lists/{LIST}/history")).data
    assert history == {
        "joins": 3,
        "leaves": 1,
        "people": [["a@example.com", None, 2, 1], ["b@example.com", None, 1, 0]],
    }


async def test_history_can_be_turned_off(client: Client) -> None:
    """A list that is created while history is off has none."""
    await client.request("PATCH", "/_sandbox/settings", {"history": False})
    list_id = (await client.post("/_sandbox/lists", {"name": "Quick"})).data["id"]
    await client.subscribe("a@example.com", list_id=list_id)
    assert (client.iterable.state.size(list_id), client.iterable.state.history(list_id)) == (1, [])


async def test_a_list_of_any_type_can_be_created(client: Client) -> None:
    """The control API creates lists of types that the API can't create."""
    created = await client.post("/_sandbox/lists", {"name": "Rules", "type": "Dynamic"})
    listed = (await client.get("/api/lists")).data["lists"][-1]
    assert (listed["id"], listed["listType"]) == (created.data["id"], "Dynamic")


async def test_a_project_can_be_created(client: Client) -> None:
    """A new project has its key and no lists."""
    await client.post("/_sandbox/projects", {"name": "Mine", "type": "hybrid", "key": "mine"})
    assert (await client.get("/api/lists", key="mine")).data == {"lists": []}


async def test_reset_restores_the_samples(client: Client) -> None:
    """A reset removes all people, requests and faults."""
    await client.subscribe("a@example.com")
    await client.post("/_sandbox/faults", {"action": "error", "path": "/api/users"})
    await client.post("/_sandbox/reset", {})
    overview = (await client.get("/_sandbox")).data
    assert (overview["projects"][0]["people"], overview["totals"], overview["faults"]) == (0, {}, [])


async def test_settings_are_shown_and_changed(client: Client) -> None:
    """A request changes the settings that it contains, and keeps the others."""
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
        ("POST", "/projects/type", {"type": "other"}, 400),
        ("POST", "/projects/type", {"type": "email", "project": "None"}, 404),
        ("POST", "/projects", {"name": "Sandbox", "key": "k"}, 400),
        ("POST", "/keys", {"key": "k", "status": "lost"}, 400),
        ("GET", "/lists/7/members", None, 404),
        ("GET", "/requests?limit=x", None, 400),
    ],
)
async def test_an_invalid_request_is_refused(
    client: Client, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    """The control API answers an invalid request with an error in a sentence."""
    reply = await client.request(method, f"/_sandbox{path}", body)
    assert (reply.status, bool(reply.data["error"])) == (status, True)


async def test_a_fault_is_logged_with_its_name(client: Client) -> None:
    """The log records the fault that caused an answer."""
    await client.post("/_sandbox/faults", {"action": "error", "status": 503})
    await client.get("/api/lists")
    assert [(record.status, record.fault) for record in client.iterable.state.log.records] == [(503, "error")]


async def test_the_samples_have_a_list_of_each_type(client: Client) -> None:
    """The sample project has two Standard lists and a list of each other type."""
    types = {each["id"]: each["listType"] for each in (await client.get("/api/lists")).data["lists"]}
    assert types == {LIST: "Standard", 1002: "Standard", DYNAMIC: "Dynamic", 1004: "Suppression", 1005: "Internal"}


async def test_a_project_gets_another_type(client: Client) -> None:
    """Iterable can't change the type of a project, but people can try what such a mistake does."""
    reply = await client.post("/_sandbox/projects/type", {"type": "hybrid"})
    assert (reply.data, client.iterable.state.project().type) == ({"name": "Sandbox", "type": "hybrid"}, "hybrid")
