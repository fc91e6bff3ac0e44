"""Publishes home pages: when a person opens one, and again after changes while they view it."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

import orjson
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.home.page import HomePage, page_of
from bot.features.home.views import home_view
from bot.features.status.workspace_status import WorkspaceStatus, viewer_of, with_links, with_trends
from bot.services import Services
from bot.slack.api_errors import ERRORS, classify
from bot.slack.home_viewers import HomeViewer
from core.store.database_errors import DATABASE_FAULTS, describe

# How often the viewers are checked, and the least time between two builds of one person's page (both in seconds).
LOOK_EVERY_S = 1.0
APART_S = 5.0
# Pages published in a workspace in each round: Slack allows about 100 views.publish calls a minute there.
MOST_AT_A_TIME = 1

logger = logging.getLogger(__name__)


class HomePublisher:
    """Keeps the home pages of all viewers up to date."""

    def __init__(self, services: Services) -> None:
        """Take the services. No I/O."""
        self._services = services

    async def run(self) -> None:
        """Refresh pages until the engine is stopping."""
        stopping = self._services.engine.stopping
        while not stopping.is_set():
            try:
                await self._look()
            except DATABASE_FAULTS as error:  # the next round tries again
                logger.warning("could not read the home pages from the database: %s", describe(error))
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await stopping.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        for team_id, home_viewers in _by_team(self._services.viewers.due(APART_S)).items():
            client = await self._services.clients.for_team(team_id)
            if client is None:  # the app was uninstalled there
                continue
            overview = await _read(self._services, team_id)
            published = 0
            for home_viewer in home_viewers:
                if published < MOST_AT_A_TIME:
                    published += await _publish(self._services, client, home_viewer, overview)


async def publish(services: Services, client: AsyncWebClient, team_id: str, person: str, metadata: str) -> None:
    """Publish the page for a person who opened it, even if its content has not changed.

    `metadata` is what they search for and the number of the page (HomePage).
    """
    home_viewer = services.viewers.opened(team_id, person)
    home_viewer.digest, home_viewer.metadata = "", metadata
    overview = await _read(services, team_id)
    await _publish(services, client, home_viewer, overview)


async def _read(services: Services, team_id: str) -> WorkspaceStatus:
    return await with_links(services, team_id, await WorkspaceStatus.read(services, services.workspace(team_id)))


async def _publish(
    services: Services, client: AsyncWebClient, home_viewer: HomeViewer, overview: WorkspaceStatus
) -> bool:
    """Publish a page if its content has changed. A failure is logged, and retried later. Returns whether Slack was
    called."""
    home_viewer.looked_at = time.monotonic()
    viewer = await viewer_of(services, client, home_viewer.team_id, home_viewer.person)
    page = HomePage.load({"private_metadata": home_viewer.metadata})
    mappings = page_of(overview.mapped, page)
    view = home_view(overview, viewer, page, replace(mappings, rows=await with_trends(services, mappings.rows)))
    digest = hashlib.sha256(orjson.dumps(view)).hexdigest()
    async with home_viewer.lock:
        if digest == home_viewer.digest:
            return False
        home_viewer.digest = ""  # unknown until Slack has answered
        try:
            await client.views_publish(user_id=home_viewer.person, view=view)
        except ERRORS as error:
            failure = classify(error)
            logger.warning("could not publish a home page: %s", failure.word)
            home_viewer.held_until = time.monotonic() + (failure.after or 0.0)
        else:
            home_viewer.digest = digest
        return True


def _by_team(due: Sequence[HomeViewer]) -> dict[str, list[HomeViewer]]:
    by_team: dict[str, list[HomeViewer]] = {}
    for home_viewer in due:
        by_team.setdefault(home_viewer.team_id, []).append(home_viewer)
    return by_team
