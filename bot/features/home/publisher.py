"""The home pages: published when somebody opens one, and again while they look at it and something changes."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence

import orjson
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy.exc import DBAPIError

from bot.features.home.views import home_view
from bot.features.status.viewer import viewer_of
from bot.features.status.workspace_status import WorkspaceStatus
from bot.services import Services
from bot.slack.api_errors import ERRORS, classify
from bot.slack.home_viewers import HomeViewer

# How often it looks, and how far apart the looks at one person's page are, in seconds.
LOOK_EVERY_S = 1.0
APART_S = 5.0
# How many pages of a workspace are published at a time: Slack takes about 100 of these calls a minute there.
MOST_AT_A_TIME = 1

logger = logging.getLogger(__name__)


class HomePublisher:
    """Keeps the home pages of those who look at them up to date."""

    def __init__(self, services: Services) -> None:
        """Take the services. No I/O."""
        self._services = services

    async def run(self) -> None:
        """Look again and again, until the engine is stopping."""
        stopping = self._services.engine.stopping
        while not stopping.is_set():
            try:
                await self._look()
            except DBAPIError as error:  # the next look may find it back
                logger.warning("the home pages could not be read: %s", type(error.orig).__name__)
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await stopping.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        for team_id, those in _by_team(self._services.viewers.due(APART_S)).items():
            client = await self._services.clients.for_team(team_id)
            if client is None:  # the bot was uninstalled there
                continue
            overview = await WorkspaceStatus.read(self._services, team_id)
            published = 0
            for looking in those:
                if published < MOST_AT_A_TIME:
                    published += await _publish(self._services, client, looking, overview)


async def publish(services: Services, client: AsyncWebClient, team_id: str, person: str) -> None:
    """Publish the page of somebody who opened it, whatever they see now."""
    looking = services.viewers.opened(team_id, person)
    looking.digest = ""
    await _publish(services, client, looking, await WorkspaceStatus.read(services, team_id))


async def _publish(services: Services, client: AsyncWebClient, looking: HomeViewer, overview: WorkspaceStatus) -> bool:
    """Publish a page where it differs from what they see. What Slack does not take is logged, and tried again later.

    Returns whether Slack was asked.
    """
    looking.looked_at = time.monotonic()
    viewer = await viewer_of(services, client, looking.team_id, looking.person)
    view = home_view(overview, viewer)
    digest = hashlib.sha256(orjson.dumps(view)).hexdigest()
    async with looking.lock:
        if digest == looking.digest:
            return False
        looking.digest = ""  # what they see is not known until Slack has answered
        try:
            await client.views_publish(user_id=looking.person, view=view)
        except ERRORS as error:
            trouble = classify(error)
            logger.warning("a home page was not published: %s", trouble.word)
            looking.held_until = time.monotonic() + (trouble.after or 0.0)
        else:
            looking.digest = digest
        return True


def _by_team(due: Sequence[HomeViewer]) -> dict[str, list[HomeViewer]]:
    found: dict[str, list[HomeViewer]] = {}
    for looking in due:
        found.setdefault(looking.team_id, []).append(looking)
    return found
