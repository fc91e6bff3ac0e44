"""Events reach the routes that want them, signed, once, in order, whatever the receiver does."""

import asyncio
import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from sqlalchemy import text

from core.connections import mapping_lifecycle
from core.errors import ConflictError, NotFoundError, ValidationError
from core.notifications import http_post, routes
from core.notifications.route_address import RouteOptions
from core.store import deliveries, slack_messages
from core.store.audit_log import COMMAND_LINE
from core.store.deliveries import DeliveryStatus
from core.store.outbox import FALLBACK_AFTER_S
from core.store.routes import RouteKind
from core.store.slack_messages import MessageStatus
from sandbox.receivers.webhook import Behavior, receiving
from tests.core.automation.harness import DAY_S, HOUR_S
from tests.core.harness import people
from tests.core.notifications.harness import notified


async def test_life_cycle(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events of a run, an alert and a mapping arrive in order, signed, each once, with no address in them."""
    async with notified(tmp_path, database_url, monkeypatch) as notices:
        secret = await notices.route(events=["*"])
        sync = notices.world.sync
        await sync.mirror(people(range(3)))
        await mapping_lifecycle.pause(sync.engine, notices.world.mapping.id, by="U1", team_id=None)
        await notices.alert()
        await notices.alert()
        await notices.alert(opens=False)
        await notices.send()
        by_subject = [each.event for each in notices.receiver.received]
        assert sorted(notices.receiver.types) == sorted(
            ["run.started", "run.succeeded", "mapping.changed", "alert.opened", "alert.resolved"]
        )
        assert notices.receiver.types.index("run.started") < notices.receiver.types.index("run.succeeded")
        assert notices.receiver.types.index("alert.opened") < notices.receiver.types.index("alert.resolved")
        succeeded = next(event for event in by_subject if event["type"] == "run.succeeded")
        assert succeeded["version"] == 1
        assert succeeded["run"]["counters"]["added"] == 3
        assert succeeded["connection"]["name"]
        changed = next(event for event in by_subject if event["type"] == "mapping.changed")
        assert changed["change"] == {"action": "mapping.paused", "by": "U1"}
        assert changed["mapping"]["status"] == "paused"
        for request in notices.receiver.received:
            assert request.is_signed(secret)
            assert b"@example.com" not in request.body
            assert request.headers["webhook-id"].startswith("dlv_")
        await notices.send(DAY_S)
        assert len(notices.receiver.received) == 5
        assert secret not in json.dumps(by_subject)


async def test_receiver_that_is_down(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery is repeated for a day with the same id, then given up; a replay sends it again."""
    async with notified(tmp_path, database_url, monkeypatch) as notices:
        await notices.route()
        notices.receiver.behavior = Behavior.REFUSE
        await notices.alert()
        await notices.alert(opens=False)
        await notices.send()
        first = await notices.latest()
        for _ in range(30):
            await notices.send(HOUR_S)
        attempts = len(notices.receiver.received)
        assert 15 <= attempts <= 40
        assert notices.receiver.types == sorted(notices.receiver.types)  # the alert, and then its end
        assert len({each.headers["webhook-id"] for each in notices.receiver.received}) == 2
        notices.receiver.behavior = Behavior.TAKE
        await notices.send(HOUR_S)
        notices.receiver.received.clear()
        engine = notices.world.sync.engine
        async with engine.database.read() as db:
            failed = await deliveries.latest(db, 10, status=DeliveryStatus.FAILED)
        assert failed
        assert all(each.error == "it answered 503" and each.status_code == 503 for each in failed)
        assert await routes.replay_failed(engine, "hook", by=COMMAND_LINE, team_id=None) == len(failed)
        await notices.send()
        assert len(notices.receiver.received) == len(failed)
        await routes.replay(engine, first.id, by=COMMAND_LINE, team_id=None)
        with pytest.raises(ConflictError):
            await routes.replay(engine, first.id, by=COMMAND_LINE, team_id=None)
        with pytest.raises(NotFoundError):
            await routes.replay(engine, "dlv_0", by=COMMAND_LINE, team_id=None)
        await notices.send(31 * DAY_S)
        notices.dispatcher._cleaned_at = -1e9
        await notices.send()
        async with engine.database.read() as db:
            assert await deliveries.latest(db, 10) == []


async def test_hostile_receivers(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver that redirects, floods, hangs or sends a huge header costs a short time, and is in no log."""
    async with notified(tmp_path, database_url, monkeypatch) as notices:
        await notices.route()
        engine = notices.world.sync.engine
        for behavior, is_taken, error in (
            (Behavior.REDIRECT, False, "it redirects, which is not followed"),
            (Behavior.FLOOD, True, None),
            (Behavior.HANG, False, "no answer came in time"),
            (Behavior.LONG_HEADER, False, "the connection broke"),
            (Behavior.REFUSE, False, "it answered 503"),
        ):
            notices.receiver.behavior = behavior
            monkeypatch.setattr(http_post, "TIMEOUT_S", 0.3 if behavior is Behavior.HANG else 60.0)
            async with asyncio.timeout(60):
                _, answer = await routes.test(engine, "hook", by=COMMAND_LINE, team_id=None)
            assert (answer.is_taken, answer.error) == (is_taken, error), behavior
            assert (await notices.latest()).attempts == 1
        assert [each.path for each in notices.receiver.received] == ["/hook"] * 5
        assert "no log" not in caplog.text
        notices.receiver.behavior, notices.receiver.status = Behavior.REFUSE, 410
        await notices.alert()
        await notices.send()
        assert (await notices.latest()).status is DeliveryStatus.FAILED


async def test_fallback(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fallback gets an alert that Slack has not shown for five minutes, and its all-clear; no other alert."""
    async with notified(tmp_path, database_url, monkeypatch) as notices:
        await notices.route(is_fallback=True)
        await notices.alert()
        await notices.send(FALLBACK_AFTER_S - 1)
        assert notices.receiver.types == []
        await notices.send(2)
        await notices.alert(opens=False)
        await notices.send(1)
        assert notices.receiver.types == ["alert.opened", "alert.resolved"]
        await notices.alert(code="brief")
        await notices.alert(opens=False)
        await notices.send(FALLBACK_AFTER_S + 1)
        await notices.alert(code="shown")
        async with notices.world.sync.engine.database.write() as db:
            (alert_id,) = (await db.execute(text("SELECT max(id) FROM alerts"))).one()
            await slack_messages.add(db, f"alert:{alert_id}", team_id=None, target="C1")
            await slack_messages.change(db, f"alert:{alert_id}", status=MessageStatus.POSTED)
        await notices.send(FALLBACK_AFTER_S + 1)
        await notices.alert(opens=False)
        await notices.send(1)
        assert notices.receiver.types == ["alert.opened", "alert.resolved"]


async def test_chain_of_fallbacks(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fallbacks take an alert in the order in which they were added: each only after those before it have failed."""
    async with notified(tmp_path, database_url, monkeypatch) as notices, receiving() as second, receiving() as third:
        await notices.route("first", is_fallback=True)
        await notices.route("second", to=second, is_fallback=True)
        await notices.route("third", to=third, is_fallback=True)
        await notices.alert()
        await notices.send(FALLBACK_AFTER_S + 1)
        await notices.alert(opens=False)
        await notices.send(1)
        assert (notices.receiver.types, second.types, third.types) == (["alert.opened", "alert.resolved"], [], [])

        notices.receiver.behavior = Behavior.REFUSE
        await notices.alert(code="another")
        await notices.send(HOUR_S)
        await notices.send(FALLBACK_AFTER_S + 1)
        assert (second.types, third.types) == (["alert.opened"], []), "at once, although the first is tried again"
        notices.receiver.behavior = Behavior.TAKE
        await notices.send(HOUR_S)
        await notices.alert(opens=False)
        await notices.send(1)
        tried = notices.receiver.types[2:]
        assert set(tried) == {"alert.opened"}, "no all-clear of an alert that another one has"
        assert (second.types, third.types) == (["alert.opened", "alert.resolved"], [])


async def test_templates(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template gives another service its own form, and leaves out what it does not have."""
    monkeypatch.setenv("KEY", "genie")
    async with notified(tmp_path, database_url, monkeypatch) as notices:
        await notices.route(path="", template="opsgenie", headers={"Authorization": "GenieKey 1"}, events=["*"])
        await notices.alert()
        await notices.alert(opens=False)
        await notices.world.sync.mirror(people(range(1)))
        await notices.send()
        opened, closed = notices.receiver.received
        key = f"alert:{notices.world.mapping.connection_id}:{notices.world.mapping.id}"
        assert opened.path == "/v2/alerts"
        assert opened.headers["authorization"] == "GenieKey 1"
        assert opened.event["alias"] == key
        assert opened.event["description"] == "It does not work."
        assert unquote(closed.path) == f"/v2/alerts/{key}/close?identifierType=alias"


async def test_invalid_routes(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't work is refused, and secrets are stored encrypted only."""
    async with notified(tmp_path, database_url, monkeypatch) as notices:
        for address in ("ftp://h/x", "http://receiver.example/x", "https://u:p@receiver.example/", "https://", "no"):
            chosen = RouteOptions("x", RouteKind.WEBHOOK, address)
            with pytest.raises(ValidationError):
                await routes.add(notices.world.sync.engine, chosen, by=COMMAND_LINE, team_id=None)
        for options in (
            {"events": ["run.exploded"]},
            {"events": ["run.*"], "is_fallback": True},
            {"template": "{"},
            {"template": "[]"},
            {"template": '{"*": 1}'},
            {"secret": "whsec_c2hvcnQ="},
            {"secret": "plain"},
            {"name": ""},
        ):
            with pytest.raises(ValidationError):
                await notices.route(**options)
        secret = await notices.route(path="/in-the-path")
        with pytest.raises(ConflictError):
            await notices.route()
        async with notices.world.sync.engine.database.read() as db:
            stored = str((await db.execute(text("SELECT * FROM routes"))).all())
            stored += str((await db.execute(text("SELECT * FROM audit"))).all())
        assert "in-the-path" not in stored
        assert secret not in stored
