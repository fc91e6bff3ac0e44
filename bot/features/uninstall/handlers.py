"""The app is removed from a workspace, or its tokens are revoked.

The work is done in middleware: Bolt acknowledges an event before it calls the listener, and then Slack does not send it
again. If the process dies, or the database does not answer, the event is not acknowledged, and comes again.
"""

import logging
from collections.abc import Awaitable, Callable

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.async_context import AsyncBoltContext

from bot.services import Services
from core.connections import offboarding

logger = logging.getLogger(__name__)


def register(app: AsyncApp, services: Services) -> None:
    """Add the listeners of this feature to the app.

    Slack sends both events, in either order (docs.slack.dev/reference/events/app_uninstalled).
    """

    async def suspend(context: AsyncBoltContext, next: Callable[[], Awaitable[None]]) -> None:  # noqa: A002  # Bolt's
        team_id = str(context.team_id)
        await services.clients.forget(team_id, context.enterprise_id)
        await offboarding.suspend_workspace(services.engine, team_id)
        await next()

    async def forget(context: AsyncBoltContext, next: Callable[[], Awaitable[None]]) -> None:  # noqa: A002  # Bolt's
        await services.clients.forget(str(context.team_id), context.enterprise_id)
        await next()

    @app.event("app_uninstalled", middleware=[suspend])
    async def on_uninstalled() -> None:
        services.wake()
        logger.warning(
            "the app was removed from a workspace: its mappings are paused and its API keys deleted%s",
            "; install it again and set its new SLACK_BOT_TOKEN" if services.one_workspace else "",
        )

    @app.event("tokens_revoked", middleware=[forget])
    async def on_revoked() -> None:
        if services.one_workspace:
            logger.warning("Slack has revoked a token of the app; install it again and set its new SLACK_BOT_TOKEN")
