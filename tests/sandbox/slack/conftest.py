"""Fixtures: a local Slack, a Bolt app connected to it, and a command that opens modals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp

from sandbox.slack import Slack, View, running
from tests.sandbox.slack.bolt import Opener, app_of, over_sockets


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    """A local Slack in which the app has 0.4 s to acknowledge, and events are repeated at once."""
    async with running(ack_timeout=0.4, event_retries=(0.0, 0.0, 0.0)) as server:
        yield server


@pytest.fixture
async def app(slack: Slack) -> AsyncIterator[AsyncApp]:
    """A Bolt app over Socket Mode, to which tests can add listeners."""
    bolt = app_of(slack)
    async with over_sockets(slack, bolt):
        yield bolt


@pytest.fixture
async def opened(slack: Slack, app: AsyncApp) -> Opener:
    """A function that opens a view for the marketer with a command."""
    latest: dict[str, Any] = {}

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await app.client.views_open(trigger_id=body["trigger_id"], view=latest["view"])

    async def open_view(view: dict[str, Any]) -> View:
        latest["view"] = view
        await slack.marketer.command("/iterable-sync")
        return await slack.marketer.open_view()

    return open_view
