"""PagerDuty and mail servers get alerts in their own form, and can be down, slow or unwilling."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import ValidationError
from core.notifications import mail, routes
from core.notifications.route_address import RouteOptions
from core.store import deliveries
from core.store.audit_log import COMMAND_LINE
from core.store.deliveries import DeliveryStatus
from core.store.routes import RouteKind
from sandbox.receivers import pagerduty
from tests.core.harness import people
from tests.core.notifications.harness import Notified, notified
from tests.core.notifications.mail_server import PASSWORD, mail_server

_ME: dict[str, Any] = {"by": COMMAND_LINE, "team_id": None}


async def test_pagerduty(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert opens one incident, another reason updates it, and the all-clear closes it; a test does both."""
    async with notified(tmp_path, database_url, monkeypatch) as notices, pagerduty.receiving() as service:
        engine = notices.world.sync.engine
        chosen = RouteOptions("oncall", RouteKind.PAGERDUTY, service.url, secret=service.routing_key)
        await routes.add(engine, chosen, **_ME)
        _, answer = await routes.test(engine, "oncall", **_ME)
        assert answer.is_taken
        assert [each.is_open for each in service.incidents.values()] == [False]
        service.incidents.clear()
        service.throttles = 2
        await notices.alert()
        for _ in range(3):
            await notices.send(60)
        await notices.alert(code="another")
        await notices.send(3600)
        ((key, incident),) = service.incidents.items()
        mapping = notices.world.mapping
        assert key == f"iterable-sync:alert:{mapping.connection_id}:{mapping.id}"
        assert (incident.is_open, incident.triggers) == (True, 2)
        assert incident.payload["summary"] == "Alert: Shoppers. It does not work."
        assert incident.payload["severity"] == "error"
        await notices.alert(opens=False)
        await notices.send()
        assert not incident.is_open
        service.routing_key = "f" * 32
        await notices.alert()
        await notices.send(3600)
        assert (await notices.latest()).status is DeliveryStatus.FAILED


async def test_mail(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event becomes an e-mail to all recipients, with an id that stays the same when it is sent again."""
    async with notified(tmp_path, database_url, monkeypatch) as notices, mail_server() as server:
        engine = notices.world.sync.engine
        await _add_mail(notices, server.url, events=["run.succeeded", "alert.*"])
        await notices.world.sync.mirror(people(range(2)), audience="Shop\u00e9rs")
        await notices.send()
        (message,) = server.received
        assert message["Subject"].startswith("A sync has succeeded: ")
        assert message["To"] == "ops@example.com, oncall@example.com"
        body = message.get_body()
        assert body is not None
        assert "2 added" in body.get_content()
        async with engine.database.read() as db:
            (delivery,) = await deliveries.latest(db, 5)
        assert message["Message-ID"] == f"<{delivery.id}@example.com>"
        await routes.replay(engine, delivery.id, **_ME)
        await notices.send()
        assert server.received[1]["Message-ID"] == message["Message-ID"]


async def test_mail_server_that_is_down(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail server that hangs or is busy is tried again; one that refuses the recipients is not."""
    monkeypatch.setattr(mail, "TIMEOUT_S", 0.3)
    async with notified(tmp_path, database_url, monkeypatch) as notices, mail_server() as server:
        engine = notices.world.sync.engine
        await _add_mail(notices, server.url)
        await _add_mail(notices, server.url, name="wrong", secret="wrong")
        await _add_mail(notices, "smtp://127.0.0.1:1", name="closed", secret="")
        for name, error in (("wrong", "the mail server answered 535"), ("closed", "no connection can be made")):
            assert (await routes.test(engine, name, **_ME))[1].error == error
        server.hangs = True
        assert (await routes.test(engine, "mail", **_ME))[1].error == "no answer came in time"
        server.leaving.set()
        for name in ("wrong", "closed"):
            await routes.remove(engine, name, **_ME)
        for refusal, status in (("451 Busy", DeliveryStatus.PENDING), ("550 No such user", DeliveryStatus.FAILED)):
            server.refusal = refusal
            await notices.alert(code=refusal)
            await notices.send(60)
            assert (await notices.latest()).status is status
            server.refusal = ""
            await notices.send(3600)
        assert len(server.received) == 1


async def test_invalid_addresses(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't work is refused, and no recipient is in the list of routes."""
    async with notified(tmp_path, database_url, monkeypatch) as notices:
        for url in ("http://h", "smtp://", "smtp://u:p@h", "smtps://h/x", "mail"):
            with pytest.raises(ValidationError):
                await _add_mail(notices, url)
        for recipients in ([], ["x"], ["a@example.com\nBcc: b@example.com"], ["a@example.com, b@example.com"]):
            with pytest.raises(ValidationError):
                await _add_mail(notices, "smtps://h", recipients=recipients)
        for kind, address, secret in (
            (RouteKind.PAGERDUTY, "https://events.pagerduty.com", "short"),
            (RouteKind.SLACK, "#general", ""),
        ):
            chosen = RouteOptions("x", kind, address, secret=secret)
            with pytest.raises(ValidationError):
                await routes.add(notices.world.sync.engine, chosen, **_ME)
        route = await _add_mail(notices, "smtps://user@mail.example.com")
        assert route.target == "2 recipients by smtps://mail.example.com"


async def _add_mail(notices: Notified, url: str, **options: Any) -> Any:
    values = {"name": "mail", "recipients": ["ops@example.com", "oncall@example.com"], "secret": PASSWORD, **options}
    chosen = RouteOptions(kind=RouteKind.EMAIL, address=url, **values)
    return (await routes.add(notices.world.sync.engine, chosen, **_ME))[0]
