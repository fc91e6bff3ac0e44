"""Syncs over the API: started once, followed, decided, cancelled, undone, and their rejected members."""

import asyncio
import csv
import io
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.web.api import syncs
from core.models.run import SCHEDULE_PREFIX, RunRequest
from core.runs import commands
from core.settings import UPLOADS
from core.store import audit_log
from core.store.api_tokens import Scope
from core.store.mappings import MappingStatus
from tests.bot.web.api.harness import api
from tests.core.harness import OTHER_LIST, addresses, people, person

#: Addresses that Python's functions for addresses and paths refuse.
MALFORMED = ("s3://[", "https://[::1/a.csv")


async def test_upload_once(tmp_path: Path, database_url: str) -> None:
    """An uploaded audience is synced. The same request with the same key starts nothing, another one is refused."""
    async with api(tmp_path, database_url) as service:
        token, mapping = await service.token(), await service.mapping()
        started = await service.upload(token, people(range(3)), key="monday", mapping_id=mapping.id)
        assert started.status == 202, started
        done = await service.finished(token, started.content["id"])
        assert (done["status"], done["counters"]["added"], done["started_by"]) == ("succeeded", 3, "token:program")
        assert service.sync.emails() == addresses(range(3))

        repeated = await service.upload(token, people(range(3)), key="monday", mapping_id=mapping.id)
        assert (repeated.status, repeated.content["id"]) == (202, done["id"])
        other = await service.upload(token, people(range(2)), key="monday", mapping_id=mapping.id)
        assert (other.status, other.content["code"]) == (409, "conflict")
        assert len((await service.call(token, "GET", "/syncs")).content["items"]) == 1
        # only the file of the sync is kept
        assert len(list((service.sync.engine.settings.data_dir / UPLOADS).iterdir())) == 1
        async with service.sync.engine.database.read() as db:
            (entry,) = await audit_log.of(db, [f"run:{done['id']}"])
        assert (entry.actor, entry.action) == ("token:program", "run.started")


async def test_same_key_at_once(tmp_path: Path, database_url: str) -> None:
    """Requests with one key at the same time start one sync; those about another mapping are refused."""
    async with api(tmp_path, database_url) as service:
        token = await service.token()
        mapping, other = await service.mapping(), await service.mapping("Gold", OTHER_LIST)
        answers = await asyncio.gather(
            *(
                service.upload(token, people(range(1)), key="k", mapping_id=each.id, dry_run=True)
                for each in (mapping, other, mapping, other, mapping, other)
            )
        )
        assert sorted(answer.status for answer in answers) == [202, 202, 202, 409, 409, 409]
        assert len({answer.content["id"] for answer in answers if answer.status == 202}) == 1
        assert len((await service.call(token, "GET", "/syncs")).content["items"]) == 1
        assert len(list((service.sync.engine.settings.data_dir / UPLOADS).iterdir())) == 1


async def test_fault_after_the_start(tmp_path: Path) -> None:
    """An upload is kept if its sync was started, even if the request fails afterwards."""
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        async with service.sync.engine.database.write() as db:
            await db.execute(text("ALTER TABLE rejections RENAME TO away"))
        started = await service.upload(token, people(range(2)), mapping_id=mapping.id)
        assert (started.status, started.content["code"]) == (503, "storage")
        async with service.sync.engine.database.write() as db:
            await db.execute(text("ALTER TABLE away RENAME TO rejections"))
        (sync,) = (await service.call(token, "GET", "/syncs")).content["items"]
        assert (await service.finished(token, sync["id"]))["counters"]["members"] == 2


async def test_address(tmp_path: Path) -> None:
    """An audience is read from a permitted place only, and a dry run sends nothing."""
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        path = str(service.sync.mirror_file(people(range(2))))
        started = await service.call(
            token, "POST", "/syncs", json={"mapping_id": mapping.id, "address": path, "dry_run": True}
        )
        planned = await service.finished(token, started.content["id"])
        assert (planned["status"], planned["plan"]["to_add"]) == ("planned", 2)
        assert service.sync.emails() == set()
        for address in (
            "/etc/hostname",
            "https://example.com/a.csv",
            "upload:0123/0/a.csv",
            "file:///etc/hostname",
            *MALFORMED,
            f"{path}{'y' * 300}",
        ):
            refused = await service.call(token, "POST", "/syncs", json={"mapping_id": mapping.id, "address": address})
            assert refused.status == 400, address
            assert "ITERABLE_SYNC_AUDIENCE_PATHS" in refused.content["detail"]


async def test_decisions(tmp_path: Path) -> None:
    """A token may not approve what it has started. Another may, with the digest of the plan that it has read."""
    async with api(tmp_path) as service:
        starter = await service.token(Scope.RUN, Scope.READ, Scope.APPROVE)
        approver = await service.token(Scope.APPROVE, name="approver")
        mapping = await service.mapping(status=MappingStatus.PROPOSED)
        started = await service.upload(starter, people(range(2)), mapping_id=mapping.id)
        waiting = await service.finished(starter, started.content["id"])
        assert waiting["status"] == "needs_approval"
        assert [guard["name"] for guard in waiting["plan"]["guards"]] == ["new_mapping"]
        path = f"/syncs/{waiting['id']}"
        decision = {"plan_digest": waiting["plan"]["digest"], "comment": "checked"}

        status = (await service.call(starter, "GET", "/status")).content
        assert ([each["id"] for each in status["waiting"]], status["under_way"]) == ([waiting["id"]], [])
        (state,) = status["mappings"]
        assert (state["name"], state["status"], state["last_sync_id"]) == ("VIPs", "proposed", waiting["id"])
        own = await service.call(starter, "POST", f"{path}/approve", json=decision)
        assert (own.status, own.content["code"]) == (403, "forbidden")
        admin = await service.token(Scope.APPROVE, name="of the proposer", by="U1")
        own = await service.call(admin, "POST", f"{path}/approve", json=decision)
        assert (own.status, "person who created this token" in own.content["detail"]) == (403, True)
        other_plan = await service.call(approver, "POST", f"{path}/approve", json={"plan_digest": "0"})
        assert other_plan.status == 409
        assert (await service.call(approver, "POST", f"{path}/approve", json=decision)).status == 200
        assert (await service.finished(starter, waiting["id"]))["counters"]["added"] == 2
        late = await service.call(approver, "POST", f"{path}/decline", json=decision)
        assert (late.status, late.content["sync_id"]) == (409, waiting["id"])

        other = await service.mapping("Gold", OTHER_LIST, MappingStatus.PROPOSED)
        path = str(service.sync.mirror_file(people(range(2))))
        scheduled = await commands.start(
            service.sync.engine,
            other,
            RunRequest(path=path, on_behalf_of="token:approver"),
            by=f"{SCHEDULE_PREFIX}Daily",
            channel=None,
            team_id=None,
        )
        waiting = await service.finished(starter, scheduled)
        decision = {"plan_digest": waiting["plan"]["digest"]}
        own = await service.call(approver, "POST", f"/syncs/{scheduled}/approve", json=decision)
        assert (waiting["status"], own.status) == ("needs_approval", 403), "it chose the source of the schedule"
        assert (await service.call(starter, "POST", f"/syncs/{scheduled}/cancel")).status == 200
        started = await service.upload(starter, people(range(2)), mapping_id=other.id)
        waiting = await service.finished(starter, started.content["id"])
        declined = await service.call(
            approver, "POST", f"/syncs/{waiting['id']}/decline", json={"plan_digest": waiting["plan"]["digest"]}
        )
        assert declined.content["status"] == "cancelled"
        assert service.sync.emails(OTHER_LIST) == set()


async def test_cancel_and_undo(tmp_path: Path) -> None:
    """A waiting sync is cancelled; the undo of a sync waits for approval; what has ended can't be cancelled."""
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        started = await service.upload(token, people(range(2)), mapping_id=mapping.id)
        done = await service.finished(token, started.content["id"])
        late = await service.call(token, "POST", f"/syncs/{done['id']}/cancel")
        assert (late.status, late.content["code"]) == (409, "conflict")
        undo = await service.call(token, "POST", f"/syncs/{done['id']}/undo")
        assert (undo.status, undo.content["undo_of"]) == (202, done["id"])
        waiting = await service.finished(token, undo.content["id"])
        assert waiting["status"] == "needs_approval"
        cancelled = await service.call(token, "POST", f"/syncs/{waiting['id']}/cancel")
        assert cancelled.content["status"] == "cancelled"


async def test_rejects_and_lookup(tmp_path: Path) -> None:
    """Rejected members are a CSV file; a person is looked up in the ledger and in Iterable. Both are audited."""
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        members = [person(1), person(2, email="not an address", customer_id=None)]
        started = await service.upload(token, members, mapping_id=mapping.id)
        done = await service.finished(token, started.content["id"])
        assert done["rejected_by_reason"] == {"invalid_email": 1}

        rejects = await service.call(token, "GET", f"/syncs/{done['id']}/rejects")
        assert rejects.headers["Content-Type"] == "text/csv; charset=utf-8"
        (row,) = csv.DictReader(io.StringIO(rejects.content.removeprefix("\ufeff")))
        assert (row["email"], row["reason"]) == ("not an address", "invalid_email")

        looked_up = await service.call(token, "POST", "/members/lookup", json={"identity": "p1@example.com"})
        (on_list,) = looked_up.content["items"]
        assert (on_list["mapping_id"], on_list["is_synced"], on_list["is_on_list"]) == (mapping.id, True, True)
        assert (on_list["last_change"]["is_added"], on_list["rejected_at"]) == (True, None)
        entries = (await service.call(token, "GET", "/audit?limit=200")).content["items"]
        actions = [entry["action"] for entry in entries]
        assert {"token.created", "run.started", "run.rejections_taken", "person.looked_up"} <= set(actions)
        assert "p1@example.com" not in str(entries)


@pytest.mark.extended
async def test_many_rejects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is complete if its rows are read from the database in several pages."""
    monkeypatch.setattr(syncs, "_ROWS_AT_ONCE", 2)
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        for count in (4, 5):
            members = [person(number, email=f"no address {number}", customer_id=None) for number in range(count)]
            started = await service.upload(token, [person(9), *members], mapping_id=mapping.id)
            done = await service.finished(token, started.content["id"])
            rejects = await service.call(token, "GET", f"/syncs/{done['id']}/rejects")
            rows = list(csv.DictReader(io.StringIO(rejects.content.removeprefix("\ufeff"))))
            assert sorted(row["email"] for row in rows) == [f"no address {number}" for number in range(count)]


async def test_pages(tmp_path: Path) -> None:
    """Pages of syncs contain each once, newest first, also while syncs are added; filters restrict them."""
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        path = str(service.sync.mirror_file(people(range(1))))
        request = {"mapping_id": mapping.id, "address": path, "dry_run": True}
        ids = [(await service.call(token, "POST", "/syncs", json=request)).content["id"] for _ in range(5)]
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await service.call(token, "GET", f"/syncs?limit=2{cursor}")).content
            seen += [sync["id"] for sync in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
            await service.call(token, "POST", "/syncs", json=request)
        assert seen == ids[::-1]
        assert (await service.call(token, "GET", "/syncs?mapping_id=99")).content == {"items": [], "next": None}
        assert (await service.call(token, "GET", "/syncs?since=2999-01-01T00:00:00Z")).content["items"] == []
        assert (await service.call(token, "GET", "/syncs?status=failed")).content["items"] == []
