"""The Bolt app for each mode. Bolt reads the environment by itself; here only our settings count."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import SecretStr
from slack_bolt.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore

from bot.slack.authorize import MultiWorkspaceAuthorize, SingleWorkspaceAuthorize
from bot.slack.clients import Clients
from bot.slack.installation_store import EncryptedInstallationStore, open_stores
from bot.slack.instrumentation import MeasuredApp
from bot.slack.mode import SlackMode
from bot.slack.oauth_flow import RetryingOAuthFlow
from bot.slack.scopes import BOT_SCOPES
from core.engine import Engine
from core.settings import Settings

#: Where a workspace installs the app, and where Slack sends the browser back to.
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"

_NOT_INSTALLED = (
    "Iterable Sync is not installed in this workspace any more, or not completely. "
    "Ask whoever installed it to install it again."
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workspaces:
    """Slack's clients, and in the mode of many workspaces the stores that they come from."""

    clients: Clients
    installations: EncryptedInstallationStore | None = None
    states: AsyncOAuthStateStore | None = None


async def open_workspaces(engine: Engine) -> Workspaces:
    """The workspaces that this process knows: that of the bot's token, or those that have installed the app."""
    settings = engine.settings
    token = value_of(settings.slack_bot_token)
    if token is None and settings.slack_client_id is not None:
        installations, states = await open_stores(settings.slack_client_id, engine.database, engine.vault)
        return Workspaces(Clients(settings.slack_api_url, None, installations), installations, states)
    return Workspaces(Clients(settings.slack_api_url, token, None))


def build_app(settings: Settings, mode: SlackMode, workspaces: Workspaces) -> AsyncApp:
    """Return an app without listeners but those that Slack needs for itself. No I/O."""
    with _without_environment():
        if mode is SlackMode.MANY:
            return _of_many(settings, workspaces)
        app = MeasuredApp(
            client=workspaces.clients.with_token(None),
            signing_secret=value_of(settings.slack_signing_secret) or "",
            authorize=SingleWorkspaceAuthorize(value_of(settings.slack_bot_token)),
        )
    _say_when_removed(app)
    return app


def value_of(secret: SecretStr | None) -> str | None:
    """A secret, to be given to whom it is for."""
    return secret.get_secret_value() if secret is not None else None


def _of_many(settings: Settings, workspaces: Workspaces) -> AsyncApp:
    store, states = workspaces.installations, workspaces.states
    assert store is not None
    assert states is not None
    client = workspaces.clients.with_token(None)
    app = MeasuredApp(
        client=client,
        signing_secret=value_of(settings.slack_signing_secret),
        authorize=MultiWorkspaceAuthorize(store),  # type: ignore[arg-type]  # Bolt takes it, and says otherwise
        user_facing_authorize_error_message=_NOT_INSTALLED,
        oauth_flow=RetryingOAuthFlow(
            client=client,
            logger=logger,
            settings=AsyncOAuthSettings(
                client_id=settings.slack_client_id,
                client_secret=value_of(settings.slack_client_secret),
                scopes=BOT_SCOPES,
                user_scopes=[],
                install_path=INSTALL_PATH,
                redirect_uri_path=REDIRECT_PATH,
                authorization_url=settings.slack_api_url.removesuffix("api/") + "oauth/v2/authorize",
                installation_store=store,
                installation_store_bot_only=True,
                state_store=states,
            ),
        ),
    )
    app.enable_token_revocation_listeners()
    return app


def _say_when_removed(app: AsyncApp) -> None:
    """Say in the log that the one workspace has removed the app: nothing that this process does can mend it."""

    @app.event("app_uninstalled")
    async def uninstalled() -> None:
        logger.warning("the app was removed from the workspace; install it again and set its new SLACK_BOT_TOKEN")

    @app.event("tokens_revoked")
    async def revoked() -> None:
        logger.warning("Slack has revoked a token of the app; install it again and set its new SLACK_BOT_TOKEN")


@contextmanager
def _without_environment() -> Iterator[None]:
    """Hide Slack's variables from Bolt for the length of the block.

    It would read them beside our settings: a client id in the environment makes it drop the bot's token.
    """
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLACK_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
