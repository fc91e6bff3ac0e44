"""Creates the Bolt app for each mode. Bolt must not read environment variables: only our settings count."""

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
from bot.slack.preflight import BOT_SCOPES
from core.engine import Engine
from core.settings import Settings

#: The paths where a workspace installs the app, and to which Slack redirects the browser.
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"

_NOT_INSTALLED = (
    "Iterable Sync is no longer installed in this workspace, or not completely. "
    "Ask whoever installed it to install it again."
)

# Otherwise Bolt looks for the file that made the app, which costs a tenth of a second.
_NAME = "iterable-sync"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workspaces:
    """The Slack clients and, in the mode for many workspaces, the stores behind them."""

    clients: Clients
    installations: EncryptedInstallationStore | None = None
    states: AsyncOAuthStateStore | None = None


async def open_workspaces(engine: Engine) -> Workspaces:
    """Return the workspaces that this process serves: that of the bot token, or all that have installed the app."""
    settings = engine.settings
    token = value_of(settings.slack_bot_token)
    if token is None and settings.slack_client_id is not None:
        refreshing = Clients(settings.slack_api_url, None, None).with_token(None)
        installations, states = await open_stores(settings, engine.database, engine.vault, refreshing)
        return Workspaces(Clients(settings.slack_api_url, None, installations), installations, states)
    return Workspaces(Clients(settings.slack_api_url, token, None))


def build_app(settings: Settings, mode: SlackMode, workspaces: Workspaces) -> AsyncApp:
    """Return an app whose only listeners are those for uninstallation. No I/O."""
    with _without_environment():
        if mode is SlackMode.MANY:
            return _of_many(settings, workspaces)
        return MeasuredApp(
            name=_NAME,
            client=workspaces.clients.with_token(None),
            signing_secret=value_of(settings.slack_signing_secret) or "",
            authorize=SingleWorkspaceAuthorize(value_of(settings.slack_bot_token)),
        )


def value_of(secret: SecretStr | None) -> str | None:
    """Return the value of a secret setting, or None if it is not set."""
    return secret.get_secret_value() if secret is not None else None


def _of_many(settings: Settings, workspaces: Workspaces) -> AsyncApp:
    store, states = workspaces.installations, workspaces.states
    assert store is not None
    assert states is not None
    client = workspaces.clients.with_token(None)
    return MeasuredApp(
        name=_NAME,
        client=client,
        signing_secret=value_of(settings.slack_signing_secret),
        # Bolt accepts it; its annotation is too narrow.
        authorize=MultiWorkspaceAuthorize(store),  # type: ignore[arg-type]
        user_facing_authorize_error_message=_NOT_INSTALLED,
        oauth_flow=RetryingOAuthFlow(
            client=client,
            logger=logger,
            may_install=settings.may_install,
            settings=AsyncOAuthSettings(
                client_id=settings.slack_client_id,
                client_secret=value_of(settings.slack_client_secret),
                scopes=(*BOT_SCOPES, *settings.slack_optional_scopes),
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


@contextmanager
def _without_environment() -> Iterator[None]:
    """Hide environment variables of Slack from Bolt for the length of the block.

    Bolt would mix them with our settings: a client id in the environment makes it drop the bot token.
    """
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLACK_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
