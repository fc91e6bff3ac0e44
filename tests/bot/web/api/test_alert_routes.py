"""Alert routes and alert rules over the API: the same use cases, with the same limits."""

from pathlib import Path

from core.store import audit_log
from core.store.api_tokens import Scope
from core.store.audit_log import AuditAction
from sandbox.receivers.webhook import receiving
from tests.bot.web.api.harness import api


async def test_alert_routes(tmp_path: Path) -> None:
    """The operator adds a webhook, whose secret is returned once; a workspace adds places in Slack and PagerDuty."""
    async with api(tmp_path) as service, receiving() as receiver:
        token = await service.token()
        added = await service.call(
            token, "POST", "/alert-routes", json={"name": "ops", "kind": "webhook", "address": f"{receiver.url}/hook"}
        )
        assert added.status == 201
        assert added.content["signing_secret"].startswith("whsec_")
        (listed,) = (await service.call(token, "GET", "/alert-routes")).content["items"]
        assert (listed["goes_to"], "signing_secret" in listed) == (receiver.url, False)
        tested = await service.call(token, "POST", f"/alert-routes/{listed['id']}/test")
        assert tested.content == {"works": True, "status_code": 202, "error": None}
        assert receiver.received[0].is_signed(added.content["signing_secret"])

        of_team = await service.token(*Scope, name="team", team_id="T1")
        for kind, address, status in (
            ("webhook", "https://hooks.example.com", 403),
            ("email", "smtp://127.0.0.1", 403),
            ("slack", "C0123ABCD", 201),
            ("slack", "general", 400),
        ):
            body = {"name": kind, "kind": kind, "address": address, "recipients": ["a@example.com"]}
            assert (await service.call(of_team, "POST", "/alert-routes", json=body)).status == status, kind
        assert (await service.call(of_team, "DELETE", f"/alert-routes/{listed['id']}")).status == 403
        mine = (await service.call(of_team, "GET", "/alert-routes")).content["items"]
        assert [each["name"] for each in mine] == ["ops", "slack"]
        for each in mine:
            who = token if each["name"] == "ops" else of_team
            assert (await service.call(who, "DELETE", f"/alert-routes/{each['id']}")).status == 200
        assert (await service.call(token, "GET", "/alert-routes")).content["items"] == []


async def test_alert_rules(tmp_path: Path) -> None:
    """Rules of a connection hold for its mappings until these have their own; null returns to the default."""
    async with api(tmp_path) as service:
        token = await service.token()
        mapping = await service.mapping()
        of_connection = f"/connections/{mapping.connection_id}/alert-rules"
        of_mapping = f"/mappings/{mapping.id}/alert-rules"
        await service.call(token, "PATCH", of_connection, json={"rules": {"overdue": {"limit": 26}}})
        answer = await service.call(token, "PATCH", of_mapping, json={"rules": {"drift": {"is_on": False}}})
        rules = {each["rule"]: each for each in answer.content["items"]}
        assert rules["overdue"] == {"rule": "overdue", "is_on": True, "limit": 26, "set_for": "connection"}
        assert (rules["drift"]["is_on"], rules["drift"]["set_for"]) == (False, "mapping")
        await service.call(token, "PATCH", of_mapping, json={"rules": {"drift": None}})
        rules = {each["rule"]: each for each in (await service.call(token, "GET", of_mapping)).content["items"]}
        assert (rules["drift"]["is_on"], rules["drift"]["set_for"]) == (True, None)
        wrong = await service.call(token, "PATCH", of_mapping, json={"rules": {"drift": {"limit": 0}}})
        assert wrong.status == 422
        async with service.sync.engine.database.read() as db:
            entries = await audit_log.of(db, [f"mapping:{mapping.id}"])
        assert [entry.action for entry in entries][-2:] == [AuditAction.ALERT_RULES_CHANGED] * 2
