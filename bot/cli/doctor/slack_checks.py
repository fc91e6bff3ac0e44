"""The checks of Slack's settings and tokens."""

from collections.abc import AsyncIterator

from bot.cli.doctor import CheckResult
from bot.slack import preflight
from bot.slack.app_factory import value_of
from bot.slack.clients import Clients
from bot.slack.mode import SlackMode, mode_of
from core.errors import SettingsError, SyncError
from core.settings import Settings

_MODES = {
    SlackMode.OFFLINE: "not set; `serve` runs without it, and the command line needs none",
    SlackMode.SOCKET: "Socket Mode, one workspace",
    SlackMode.HTTP: "HTTP mode, one workspace: Slack's request URL and options URL end with /slack/events",
    SlackMode.MANY: "many workspaces by OAuth: each installs the app at /slack/install",
}


async def slack_findings(settings: Settings) -> AsyncIterator[CheckResult]:
    """Yield the results."""
    try:
        mode = mode_of(settings)
    except SettingsError as error:
        yield CheckResult("Slack", False, error.message)
        return
    yield CheckResult("Slack", True, _MODES[mode])
    if mode is SlackMode.MANY and not settings.allowed_workspaces:
        yield CheckResult(
            "Slack workspaces",
            False,
            "none may install the app. Set ITERABLE_SYNC_ALLOWED_WORKSPACES to their ids, or to * for every workspace.",
        )
    token = value_of(settings.slack_bot_token)
    if mode is SlackMode.OFFLINE or token is None:
        return
    client = Clients(settings.slack_api_url, token, None).with_token(token)
    try:
        identity = await preflight.fetch_bot_identity(client)
    except SyncError as error:
        yield CheckResult("Slack bot token", False, _sentence(error))
    else:
        yield CheckResult("Slack bot token", True, f'is accepted; workspace "{identity.team}" as @{identity.user}')
        lacking = identity.missing_scopes
        text = preflight.lacks(identity) if lacking else "the bot has all that it needs"
        yield CheckResult("Slack scopes", not lacking, text)
    if mode is SlackMode.SOCKET:
        try:
            await preflight.check_app_token(client, value_of(settings.slack_app_token) or "")
        except SyncError as error:
            yield CheckResult("Slack app token", False, _sentence(error))
        else:
            yield CheckResult("Slack app token", True, "is accepted; Socket Mode can be used")


def _sentence(error: SyncError) -> str:
    return error.message if isinstance(error, SettingsError) else f"{error.message}. Check the network and the proxy."
