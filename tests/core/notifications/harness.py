"""The setup for tests of notifications: a world with a receiver of webhooks, and a dispatcher."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core import alerting
from core.notifications import routes
from core.notifications.dispatcher import Dispatcher
from core.notifications.route_address import RouteOptions
from core.store import deliveries
from core.store.alert_kinds import AlertKind
from core.store.audit_log import COMMAND_LINE
from core.store.deliveries import Delivery
from core.store.routes import RouteKind
from sandbox.receivers.webhook import Receiver, receiving
from tests.core.automation.harness import World, automated


@dataclass
class Notified:
    """A world with a receiver of webhooks, and the dispatcher, whose steps a test takes."""

    world: World
    receiver: Receiver
    dispatcher: Dispatcher

    async def route(
        self, name: str = "hook", *, path: str = "/hook", to: Receiver | None = None, **options: Any
    ) -> str:
        """Add a route to the receiver, or to another one, and return its signing secret."""
        chosen = RouteOptions(name, RouteKind.WEBHOOK, (to or self.receiver).url + path, **options)
        return (await routes.add(self.world.sync.engine, chosen, by=COMMAND_LINE, team_id=None))[1]

    async def send(self, seconds: float = 0.0) -> None:
        """Move the clock, and send what is due then, also what becomes due by that."""
        self.world.clock.at += seconds
        while await self.dispatcher.start_due():
            await self.dispatcher.finish()

    async def latest(self) -> Delivery:
        """The newest delivery."""
        async with self.world.sync.engine.database.read() as db:
            return (await deliveries.latest(db, 1))[0]

    async def alert(self, *, opens: bool = True, code: str = "boom") -> None:
        """Open or close the alert of the mapping."""
        mapping = self.world.mapping
        async with self.world.sync.engine.database.write() as db:
            if opens:
                await alerting.open_or_repeat(
                    db,
                    connection_id=mapping.connection_id,
                    mapping_id=mapping.id,
                    run_id=None,
                    code=code,
                    message="It does not work.",
                )
            else:
                await alerting.resolve(db, mapping.connection_id, mapping.id, AlertKind.of(code))


@asynccontextmanager
async def notified(
    directory: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Notified]:
    """Open a world with a receiver of webhooks."""
    async with automated(directory, database_url, monkeypatch) as world, receiving() as receiver:
        yield Notified(world, receiver, Dispatcher(world.sync.engine))
