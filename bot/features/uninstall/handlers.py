"""The app is removed from a workspace, or its tokens are revoked."""

import logging

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.async_context import AsyncBoltContext

from bot.services import Services
from core.connections import offboarding

logger = logging.getLogger(__name__)


def register(app: AsyncApp, services: Services) -> None:
    """Add the listeners of this feature to the app. Slack sends both events in either order
    (docs.slack.dev/reference/events/app_uninstalled)."""

    @app.event("app_uninstalled")
    async def on_uninstalled(context: AsyncBoltContext) -> None:
        team_id = str(context.team_id)
        await services.clients.forget(team_id, context.enterprise_id)
        await offboarding.suspend_workspace(services.engine, team_id)
        services.wake()
        logger.warning(
            "the app was removed from a workspace: its mappings are paused and its API keys deleted%s",
            "; install it again and set its new SLACK_BOT_TOKEN" if services.one_workspace else "",
        )

    @app.event("tokens_revoked")
    async def on_revoked(context: AsyncBoltContext) -> None:
        await services.clients.forget(str(context.team_id), context.enterprise_id)
        if services.one_workspace:
            logger.warning("Slack has revoked a token of the app; install it again and set its new SLACK_BOT_TOKEN")
