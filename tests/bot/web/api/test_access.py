"""Who may use the API: tokens, scopes, workspaces, limits, and what is refused."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bot.web.api import router, syncs
from bot.web.api.operations import PREFIX, Operation
from core.connections import api_tokens, offboarding
from core.settings import UPLOADS
from core.store import connections
from core.store.api_tokens import Scope
from tests.bot.web.api.harness import Api, api
from tests.core.harness import people, person

TEAM = "T1"


def uploaded(service: Api) -> list[Path]:
    """Return the files that were uploaded and are kept."""
    folder = service.sync.engine.settings.data_dir / UPLOADS
    return [path for path in folder.rglob("*") if path.is_file()]


async def send(service: Api, operation: Operation, token: str | None, sync_id: str = "s", number: int = 1) -> int:
    """Send a request to an operation with these ids in its path. Returns the status."""
    ids = dict.fromkeys(("mapping_id", "alert_id", "route_id", "connection_id", "schedule_id"), number)
    path = operation.path.format(sync_id=sync_id, **ids) + QUERIES.get(operation.id, "")
    body = {"json": BODIES[operation.id]} if operation.body else {}
    return (await service.call(token, operation.method, path, **body)).status


#: A valid body for each operation that takes one.
BODIES = {
    "start_sync": {"mapping_id": 1, "address": "/a.csv"},
    "approve_sync": {"plan_digest": "0"},
    "decline_sync": {"plan_digest": "0"},
    "add_schedule": {"trigger": "new_file"},
    "change_schedule": {"trigger": "new_file"},
    "set_source": {"address": "/a.csv"},
    "repair_list": {"repairs": "both"},
    "freeze_before_campaigns": {"minutes": 60},
    "freeze_mapping": {"until": "2099-01-01T00:00:00Z"},
    "freeze_all": {"until": "2099-01-01T00:00:00Z"},
    "look_up": {"identity": "p1@example.com"},
    "change_mapping": {"name": "Gold"},
    "set_exclusions": {"domains": ["example.com"]},
    "change_list_of_mapping": {"list_id": 1, "people": "leave"},
    "add_alert_route": {"name": "ops", "kind": "slack", "address": "C0123ABCD"},
    "change_rules_of_connection": {"rules": {"drift": {"limit": 5}}},
    "change_rules_of_mapping": {"rules": {"drift": None}},
}
#: The parameters that an operation must have.
QUERIES = {"delete_mapping": "?members=leave"}


async def test_every_operation_needs_its_scope(tmp_path: Path) -> None:
    """Each operation refuses a request without a token, with a revoked one, and with all scopes but its own."""
    async with api(tmp_path) as service:
        lacking = {
            scope: await service.token(*(other for other in Scope if other is not scope), name=f"all but {scope}")
            for scope in Scope
        }
        revoked = await service.token(name="revoked")
        await api_tokens.revoke(service.sync.engine, "revoked", by="U1", team_id=None)
        for operation in router.OPERATIONS:
            statuses = [await send(service, operation, each) for each in (None, "isync_x", revoked)]
            assert statuses == [401, 401, 401], operation.id
            assert await send(service, operation, lacking[operation.scope]) == 403, operation.id


async def test_other_workspaces(tmp_path: Path) -> None:
    """A token of a workspace sees nothing of another one: its ids are not found, and no list contains it."""
    async with api(tmp_path, one_workspace=False) as service:
        token = await service.token(name="operator")
        mapping = await service.mapping()
        started = await service.upload(token, people(range(1)), mapping_id=mapping.id)
        sync_id = (await service.finished(token, started.content["id"]))["id"]
        stranger = await service.token(name="stranger", team_id=TEAM)
        for operation in router.OPERATIONS:
            if "{" in operation.path or operation.id == "start_sync":
                assert await send(service, operation, stranger, sync_id, mapping.id) == 404, operation.id
        for path in ("/syncs", "/mappings", "/connections", "/alerts", "/alert-routes"):
            assert (await service.call(stranger, "GET", path)).content["items"] == [], path
        status = (await service.call(stranger, "GET", "/status")).content
        assert status == {"alerts": [], "waiting": [], "under_way": [], "mappings": []}
        looked_up = await service.call(stranger, "POST", "/members/lookup", json={"identity": "p0@example.com"})
        assert looked_up.content == {"items": [], "faults": {}, "forgotten_in": []}
        audit = (await service.call(stranger, "GET", "/audit")).content["items"]
        assert {entry["workspace"] for entry in audit} == {TEAM}

        async with service.sync.engine.database.write() as db:
            await connections.change(db, mapping.connection_id, team_id=TEAM, api_key=b"encrypted")
        assert (await service.call(stranger, "GET", f"/syncs/{sync_id}")).status == 200


def parts(*dispositions: bytes, header: bytes = b"", content: bytes = b"x") -> dict[str, Any]:
    """Return a multipart body with these parts, which all have this header and this content."""
    head = header + b"\r\n" + content + b"\r\n"
    body = b"".join(b"--b\r\nContent-Disposition: form-data; " + each + b"\r\n" + head for each in dispositions)
    return {"data": io.BytesIO(body + b"--b--\r\n"), "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


#: Requests that can't be carried out: method, path, options, and the status and code of the answer.
INVALID: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/nothing", {}, 404, "not_found"),
    ("DELETE", "/syncs", {}, 405, "method_not_allowed"),
    ("GET", "/syncs?limit=0", {}, 422, "invalid_request"),
    ("GET", "/syncs?limit=1&limit=2", {}, 422, "invalid_request"),
    ("GET", "/syncs?colour=red", {}, 422, "invalid_request"),
    ("GET", "/syncs?cursor=0", {}, 400, "bad_input"),
    ("GET", "/audit?cursor=MWUzMDAg", {}, 400, "bad_input"),  # 1e300
    ("GET", "/syncs?since=0.5", {}, 422, "invalid_request"),
    ("GET", "/syncs?since=2026-01-31T12:00:00", {}, 422, "invalid_request"),
    ("GET", "/alerts?limit=1", {}, 400, "bad_input"),
    ("GET", "/mappings/99999999999999999999", {}, 404, "not_found"),
    ("GET", "/syncs/%00", {}, 404, "not_found"),
    ("POST", "/syncs", {"data": b"mapping_id=1"}, 415, "unsupported_media_type"),
    ("POST", "/syncs", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 422, "invalid_request"),
    ("POST", "/syncs", {"json": {"mapping_id": 1}}, 404, "not_found"),
    ("POST", "/syncs", {"json": {"mapping_id": "1x"}}, 422, "invalid_request"),
    ("POST", "/members/lookup", {"json": {"identity": "a" * 1_000_001}}, 413, "content_too_large"),
    (
        "POST",
        "/syncs",
        {"data": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        400,
        "bad_input",
    ),
    ("POST", "/syncs", {"data": b"", "headers": {"Content-Type": "multipart/form-data"}}, 400, "bad_input"),
    # bodies that aiohttp refuses while they are read
    ("POST", "/syncs", parts(b'name="file"; filename="a\0.csv"'), 400, "bad_input"),
    ("POST", "/syncs", parts(b'name="file"', header=b"A: " + b"x" * 10_000 + b"\r\n"), 400, "bad_input"),
    ("POST", "/syncs", parts(b'name="request"', content=b"x" * 3_000_000), 413, "content_too_large"),
    ("POST", "/syncs", parts(*[b'name="file"; filename="a.csv"'] * 1_001), 413, "content_too_large"),
    # PostgreSQL stores no NUL
    *(
        ("POST", path, {"json": body}, 422, "invalid_request")
        for path, body in (
            ("/syncs", {"mapping_id": 1, "address": "/a\0"}),
            ("/syncs", {"mapping_id": 1, "address": "/a", "columns": {"email": "\0"}}),
            ("/syncs/s/decline", {"plan_digest": "0", "comment": "\0"}),
            ("/members/lookup", {"identity": "\0"}),
        )
    ),
]


async def test_invalid_requests(tmp_path: Path) -> None:
    """A request that can't be carried out is answered with problem details that say what is wrong."""
    async with api(tmp_path) as service:
        token = await service.token()
        for method, path, options, status, code in INVALID:
            answer = await service.call(token, method, path, **options)
            case = (method, path, options)
            assert (answer.status, answer.content["status"], answer.content["code"]) == (status, status, code), case
            assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8", case
            assert answer.content["detail"], case
        assert not uploaded(service)


async def test_uploads_that_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that pauses for too long is refused and removed; one that can't be written is an error."""
    monkeypatch.setattr(syncs, "SILENCE_S", 0.1)
    async with api(tmp_path) as service:
        token = await service.token()
        host, _, port = service.url.removeprefix("http://").partition(":")
        body = parts(b'name="file"; filename="a.csv"')["data"].getvalue()[:-9]
        request = (
            f"POST {PREFIX}/syncs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 999\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        ).encode() + body
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        assert b" 408 " in await reader.readline()
        assert not uploaded(service)
        writer.close()

        folder = service.sync.engine.settings.data_dir / UPLOADS
        folder.rmdir()
        folder.symlink_to("/dev/full")  # no folder can be made in it
        answer = await service.call(token, "POST", "/syncs", **parts(b'name="file"; filename="a.csv"'))
        assert (answer.status, answer.content["code"]) == (500, "unexpected")


async def test_workspace_that_left(tmp_path: Path) -> None:
    """The tokens of a workspace are refused from the moment at which it removes the app, and are erased with it."""
    async with api(tmp_path, one_workspace=False) as service:
        engine, mapping = service.sync.engine, await service.mapping()
        async with engine.database.write() as db:
            await connections.change(db, mapping.connection_id, team_id=TEAM, api_key=b"encrypted")
        ours, theirs = await service.token(team_id=TEAM), await service.token(team_id="T2", name="other")
        assert (await service.call(ours, "GET", "/token")).status == 200
        await offboarding.suspend_workspace(engine, TEAM)
        await offboarding.restore_workspace(engine, TEAM)  # its keys stay deleted, too
        assert [(await service.call(token, "GET", "/token")).status for token in (ours, theirs)] == [401, 200]

        async with engine.database.write() as db:
            await connections.change(db, mapping.connection_id, uninstalled_at=1.0)
        await offboarding.erase_uninstalled(engine)
        async with engine.database.read() as db:
            assert (await db.execute(text("SELECT name FROM api_tokens"))).scalars().all() == ["other"]


async def test_rate_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that sends too many requests has to wait; other tokens need not."""
    monkeypatch.setattr(router, "REQUESTS_A_MINUTE", 3)
    async with api(tmp_path) as service:
        first, second = await service.token(name="first"), await service.token(name="second")
        statuses = await asyncio.gather(*(service.call(first, "GET", "/token") for _ in range(4)))
        assert sorted(answer.status for answer in statuses) == [200, 200, 200, 429]
        refused = next(answer for answer in statuses if answer.status == 429)
        assert 0 < int(refused.headers["Retry-After"]) <= 61
        assert (await service.call(second, "GET", "/token")).status == 200


async def test_no_secret_is_returned_or_stored(tmp_path: Path) -> None:
    """The database keeps no token, and no answer contains an API key or a person's data without the scope for it."""
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        started = await service.upload(token, [person(1)], mapping_id=mapping.id)
        await service.finished(token, started.content["id"])
        texts = [
            str((await service.call(token, "GET", path)).content)
            for path in ("/token", "/connections", "/mappings", "/syncs", "/alerts", "/audit")
        ]
        for secret in (token, service.sync.iterable.key, "p1@example.com"):
            assert not [text for text in texts if secret in text]
        stored = b"".join(path.read_bytes() for path in service.sync.engine.settings.data_dir.glob("*.sqlite*"))
        assert token.encode() not in stored
