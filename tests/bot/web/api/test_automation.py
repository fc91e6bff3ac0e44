"""Sources, schedules, freezes and checks of lists over the API."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.store import audit_log, managed
from core.store.api_tokens import Scope
from core.store.managed import Managed
from tests.bot.web.api.harness import api
from tests.core.harness import LIST, addresses, people


async def test_schedules_freezes_and_checks(tmp_path: Path) -> None:
    """A program sets a source, adds schedules and lists them by pages, freezes a mapping, and checks its list."""
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        place = f"/mappings/{mapping.id}"
        assert (await service.call(token, "GET", f"{place}/source")).status == 404
        assert (await service.call(token, "PUT", f"{place}/source", json={"address": "/etc/passwd"})).status == 400
        folder = service.sync.engine.settings.audience_places("")[0]
        saved = await service.call(token, "PUT", f"{place}/source", json={"address": f"{folder}/", "existing": "all"})
        assert (saved.content["address"], saved.content["existing"]) == (f"{folder}/", "all")

        daily = {"trigger": "cron", "cron": "0 8 * * *", "name": "Daily", "quiet_from": "22:00", "quiet_to": "06:00"}
        added = await service.call(token, "POST", f"{place}/schedules", json=daily)
        assert (added.status, added.content["cron"], added.content["next_at"] is None) == (201, "0 8 * * *", False)
        await service.call(token, "POST", f"{place}/schedules", json={"trigger": "new_file", "name": "Files"})
        assert (await service.call(token, "POST", f"{place}/schedules", json=daily)).status == 409
        first = (await service.call(token, "GET", "/schedules?limit=1")).content
        second = (await service.call(token, "GET", f"/schedules?limit=1&cursor={first['next']}")).content
        names = [each["name"] for page in (first, second) for each in page["items"]]
        assert (names, second["next"]) == (["Daily", "Files"], None)
        of_schedule = f"/schedules/{added.content['id']}"
        weekly = {"trigger": "cron", "cron": "0 9 * * 1", "time_zone": "Europe/Berlin"}
        changed = (await service.call(token, "PUT", of_schedule, json=weekly)).content
        assert [changed[each] for each in ("name", "cron", "quiet_from")] == ["Daily", "0 9 * * 1", None]
        assert (await service.call(token, "PUT", of_schedule, json={**weekly, "cron": "99 * * * *"})).status == 400
        assert (await service.call(token, "POST", f"{of_schedule}/pause")).content["is_paused"]
        assert (await service.call(token, "POST", f"{of_schedule}/pause")).status == 409
        assert not (await service.call(token, "POST", f"{of_schedule}/resume")).content["is_paused"]
        async with service.sync.engine.database.write() as db:
            await managed.put(db, Managed.SCHEDULE, added.content["id"], "{}")
        refused = await service.call(token, "PUT", of_schedule, json=weekly)
        assert (refused.status, refused.content["code"]) == (409, "managed_by_file")
        async with service.sync.engine.database.write() as db:
            await managed.put(db, Managed.SCHEDULE, added.content["id"], None)
        runner = await service.token(Scope.RUN, name="runner")
        assert (await service.call(runner, "POST", f"{of_schedule}/run-now")).status == 200
        assert (await service.call(token, "DELETE", of_schedule)).status == 200
        assert (await service.call(token, "DELETE", of_schedule)).status == 404
        refused = await service.call(token, "DELETE", f"{place}/source")
        assert (refused.status, "Files" in refused.content["detail"]) == (409, True)
        (files,) = (await service.call(token, "GET", "/schedules")).content["items"]
        assert (await service.call(token, "DELETE", f"/schedules/{files['id']}")).content["name"] == "Files"
        assert (await service.call(token, "DELETE", f"{place}/source")).content["address"] == f"{folder}/"
        assert (await service.call(token, "DELETE", f"{place}/source")).status == 404

        until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        frozen = await service.call(token, "POST", f"{place}/freeze", json={"until": until, "holds": "removals"})
        assert [(each["mapping_id"], each["holds"]) for each in frozen.content["items"]] == [(mapping.id, "removals")]
        assert (await service.call(token, "DELETE", f"{place}/freeze")).content == {"items": []}
        assert (await service.call(token, "POST", "/freeze", json={"until": until})).content["items"][0]["of_all"]
        assert (await service.call(token, "DELETE", f"{place}/freeze")).status == 409
        assert (await service.call(token, "DELETE", "/freeze")).content == {"items": []}

        of_campaigns = f"{place}/campaign-freeze"
        before = await service.call(token, "PUT", of_campaigns, json={"minutes": 90, "holds": "removals"})
        assert before.content == {"mapping_id": mapping.id, "minutes": 90, "holds": "removals"}
        assert (await service.call(token, "GET", of_campaigns)).content == before.content
        assert (await service.call(token, "DELETE", of_campaigns)).content["minutes"] is None
        assert (await service.call(token, "DELETE", of_campaigns)).status == 409

        assert (await service.call(token, "GET", f"{place}/check")).status == 404
        started = await service.upload(token, people(range(3)), mapping_id=mapping.id)
        await service.finished(token, started.content["id"])
        checked = await service.call(token, "POST", f"{place}/check")
        assert (checked.content["drift"], checked.content["check"]["ours"]) == (False, 3)
        assert (await service.call(token, "GET", f"{place}/check")).content["in_iterable"] == 3
        state = service.sync.iterable.state
        state.lists[LIST].leave([state.project().people.emails.first["p0@example.com"]], state.clock())
        for _ in range(2):
            once = {"json": {"repairs": "both"}, "headers": {"Idempotency-Key": "repair"}}
            repair = await service.call(runner, "POST", f"{place}/repair", **once)
        assert (repair.status, len((await service.call(token, "GET", "/syncs")).content["items"])) == (202, 2)
        waiting = await service.finished(token, repair.content["id"])
        assert [each["name"] for each in waiting["plan"]["guards"]] == ["repair"]
        digest = {"plan_digest": waiting["plan"]["digest"]}
        assert (await service.call(token, "POST", f"/syncs/{waiting['id']}/approve", json=digest)).status == 200
        assert (await service.finished(token, waiting["id"]))["status"] == "succeeded"
        assert service.sync.emails() == addresses(range(3))
        async with service.sync.engine.database.read() as db:
            entries = await audit_log.of(db, [f"mapping:{mapping.id}"])
        # the source, and the freeze before campaigns: set, and removed
        assert [each.action.value for each in entries].count("mapping.changed") == 4
