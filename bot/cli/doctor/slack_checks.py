"""What `doctor` looks at of Slack: which mode the settings make, and what Slack says of the tokens."""

from collections.abc import AsyncIterator

from bot.cli.doctor.check_result import Finding
from bot.slack import preflight
from bot.slack.app_factory import value_of
from bot.slack.clients import Clients
from bot.slack.mode import Mode, mode_of
from core.errors import SettingsError, SyncError
from core.settings import Settings

_MODES = {
    Mode.OFFLINE: "not set; `serve` runs without it, and the command line needs none",
    Mode.SOCKET: "Socket Mode, one workspace",
    Mode.HTTP: "HTTP mode, one workspace: Slack's request URL and options URL end with /slack/events",
    Mode.MANY: "many workspaces by OAuth: each installs the app at /slack/install",
}


async def slack_findings(settings: Settings) -> AsyncIterator[Finding]:
    """Yield what is found."""
    try:
        mode = mode_of(settings)
    except SettingsError as error:
        yield Finding("Slack", False, error.message)
        return
    yield Finding("Slack", True, _MODES[mode])
    token = value_of(settings.slack_bot_token)
    if mode is Mode.OFFLINE or token is None:
        return
    client = Clients(settings.slack_api_url, token, None).with_token(token)
    try:
        identity = await preflight.who(client)
    except SyncError as error:
        yield Finding("Slack bot token", False, _sentence(error))
    else:
        yield Finding("Slack bot token", True, f'is accepted; workspace "{identity.team}" as @{identity.user}')
        lacking = identity.missing_scopes
        said = preflight.lacks(identity) if lacking else "the bot has all that it needs"
        yield Finding("Slack scopes", not lacking, said)
    if mode is Mode.SOCKET:
        try:
            await preflight.check_app_token(client, value_of(settings.slack_app_token) or "")
        except SyncError as error:
            yield Finding("Slack app token", False, _sentence(error))
        else:
            yield Finding("Slack app token", True, "is accepted; Socket Mode can be used")


def _sentence(error: SyncError) -> str:
    return error.message if isinstance(error, SettingsError) else f"{error.message}. Check the network and the proxy."
