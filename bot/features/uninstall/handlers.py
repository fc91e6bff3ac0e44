"""The app is removed from a workspace, or its tokens are revoked.

The work is done in middleware: Bolt acknowledges an event before it calls the listener, and then Slack does not send it
again. If the process dies, or the database does not answer, the event is not acknowledged, and comes again.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.async_context import AsyncBoltContext

from bot.services import Services
from bot.slack.actor import team_of
from core.connections import offboarding

logger = logging.getLogger(__name__)

Body = dict[str, Any]
Next = Callable[[], Awaitable[None]]


def register(app: AsyncApp, services: Services) -> None:
    """Add the listeners of this feature to the app.

    Slack sends app_uninstalled and tokens_revoked, in either order (docs.slack.dev/reference/events/app_uninstalled).
    An organization can also remove the app from some workspaces (docs.slack.dev/reference/events/team_access_revoked).
    """

    async def suspend(body: Body, context: AsyncBoltContext, next: Next) -> None:  # noqa: A002  # Bolt's
        await services.clients.forget(_installed_in(body, context), context.enterprise_id)
        for team_id in await _workspaces(services, body, context):
            await offboarding.suspend_workspace(services.engine, team_id)
            await services.clients.leave_organization(team_id)
        await next()

    async def forget(body: Body, context: AsyncBoltContext, next: Next) -> None:  # noqa: A002  # Bolt's
        await services.clients.forget(_installed_in(body, context), context.enterprise_id)
        await next()

    async def suspend_some(event: Body, context: AsyncBoltContext, next: Next) -> None:  # noqa: A002  # Bolt's
        of_organization = await services.clients.workspaces_of(str(context.enterprise_id))
        for team_id in set(event["team_ids"]) & set(of_organization):
            await offboarding.suspend_workspace(services.engine, team_id)
            await services.clients.leave_organization(team_id)
        await next()

    @app.event("app_uninstalled", middleware=[suspend])
    async def on_uninstalled() -> None:
        services.wake()
        logger.warning(
            "the app was removed from a workspace: its mappings are paused and its API keys deleted%s",
            "; install it again and set its new SLACK_BOT_TOKEN" if services.one_workspace else "",
        )

    @app.event("team_access_revoked", middleware=[suspend_some])
    async def on_access_revoked() -> None:
        services.wake()
        logger.warning("an organization removed the app from workspaces: their mappings are paused")

    @app.event("tokens_revoked", middleware=[forget])
    async def on_revoked() -> None:
        if services.one_workspace:
            logger.warning("Slack has revoked a token of the app; install it again and set its new SLACK_BOT_TOKEN")


def _installed_in(body: Body, context: AsyncBoltContext) -> str | None:
    """Return the workspace in which the app was installed, or None if it was installed for an organization."""
    return None if context.is_enterprise_install else team_of(body, context.team_id)


async def _workspaces(services: Services, body: Body, context: AsyncBoltContext) -> list[str]:
    """Return the workspaces that can no longer use the app."""
    if context.is_enterprise_install and context.enterprise_id is not None:
        return await services.clients.workspaces_of(context.enterprise_id)
    return [team_of(body, context.team_id)]
