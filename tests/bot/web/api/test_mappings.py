"""Mappings over the API: changed, archived, restored, deleted."""

from pathlib import Path

from core.store import audit_log
from core.store.api_tokens import Scope
from tests.bot.web.api.harness import api
from tests.core.harness import addresses, people


async def test_mapping_is_managed(tmp_path: Path, database_url: str) -> None:
    """A program changes a mapping, archives and restores it, and deletes it in both ways."""
    async with api(tmp_path, database_url) as service:
        token, mapping = await service.token(), await service.mapping()
        place = f"/mappings/{mapping.id}"
        reader = await service.token(Scope.READ, name="reader")
        assert (await service.call(reader, "PATCH", place, json={"name": "Gold"})).status == 403
        changed = await service.call(token, "PATCH", place, json={"name": "Gold", "max_removed_share": 0.4})
        assert (changed.status, changed.content["name"], changed.content["max_removed_share"]) == (200, "Gold", 0.4)
        again = await service.call(token, "PATCH", place, json={"max_removed_share": None})
        assert (again.content["name"], again.content["max_removed_share"]) == ("Gold", None)
        assert (await service.call(token, "PATCH", place, json={"max_removed_share": 2})).status == 422
        own = await service.call(token, "PATCH", place, json={"operators": ["U01MAYA"], "approvers": ["S01CRM"]})
        assert (own.content["operators"], own.content["approvers"]) == (["U01MAYA"], ["S01CRM"])
        unknown = await service.call(token, "PATCH", place, json={"approvers": ["amir@example.com"]})
        assert (unknown.status, "Slack is not configured" in unknown.content["detail"]) == (400, True)
        back = await service.call(token, "PATCH", place, json={"operators": None, "approvers": []})
        assert (back.content["operators"], back.content["approvers"]) == ([], [])

        assert (await service.call(token, "PATCH", place, json={"mode": None})).status == 400
        moved = await service.call(token, "PATCH", place, json={"mode": "add", "removals": "keep"})
        assert (moved.content["status"], moved.content["waits_for_change"]) == ("proposed", True)
        await service.call(token, "PATCH", place, json={"mode": "mirror", "removals": "remove"})
        kept_off = await service.call(
            token, "PUT", f"{place}/exclusions", json={"addresses": ["p9@example.com"], "domains": ["Example.org"]}
        )
        excluded = {"addresses": 1, "domains": ["example.org"], "files": [], "mappings": []}
        assert (kept_off.content["exclusions"], kept_off.content["status"]) == (excluded, "proposed")
        refused = await service.call(token, "PUT", f"{place}/exclusions", json={"files": ["/etc/passwd"]})
        assert (refused.status, "may not be read from there" in refused.content["detail"]) == (400, True)
        await service.call(token, "PUT", f"{place}/exclusions", json={"addresses": [], "domains": []})

        started = await service.upload(token, people(range(3)), mapping_id=mapping.id)
        await service.finished(token, started.content["id"])
        other = service.sync.iterable.state.add_list("Other").id
        moved = await service.call(token, "POST", f"{place}/list", json={"list_id": other, "people": "leave"})
        assert (moved.content["mapping"]["replaces"], moved.content["sync_id"]) == (mapping.id, None)
        assert (
            await service.call(token, "POST", f"{place}/list", json={"list_id": 99, "people": "leave"})
        ).status > 399
        assert (await service.call(token, "POST", f"{place}/archive")).content["status"] == "archived"
        assert (await service.call(token, "POST", f"{place}/archive")).status == 409
        assert (await service.call(token, "POST", f"{place}/restore")).content["status"] == "proposed"

        assert (await service.call(token, "DELETE", place)).status == 422
        asked = await service.call(token, "DELETE", f"{place}?members=remove")
        assert (asked.status, asked.content["is_deleted"], asked.content["people"]) == (200, False, 3)
        sync = await service.finished(token, asked.content["sync_id"])
        assert [guard["name"] for guard in sync["plan"]["guards"]] == ["emptying"]
        assert service.sync.emails() == addresses(range(3))
        deleted = await service.call(token, "DELETE", f"{place}?members=leave")
        assert (deleted.content["is_deleted"], deleted.content["sync_id"]) == (True, None)
        assert (await service.call(token, "GET", place)).status == 404
        assert service.sync.emails() == addresses(range(3))
        async with service.sync.engine.database.read() as db:
            entries = await audit_log.of(db, [f"mapping:{mapping.id}"])
        by_program = [each.action.value for each in entries if each.actor == "token:program"]
        assert by_program == [
            *["mapping.changed"] * 8,
            "mapping.archived",
            "mapping.restored",
            "mapping.deletion_asked",
            "mapping.removed",
        ]
