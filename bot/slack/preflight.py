"""Checks the tokens before anything starts, so that a wrong one is reported at once instead of being retried
forever."""

from dataclasses import dataclass
from typing import Final

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

from bot.slack.api_errors import status_of, word_of
from core import network
from core.errors import SettingsError, SyncError

#: The scopes that the bot's token needs. `manifest.yml` requests the same ones.
BOT_SCOPES: Final = ("chat:write", "commands", "files:read", "files:write", "users:read")

#: The scopes that `manifest-usergroups.yml` requests as well: for user groups as operators and approvers, and to name
#: people by their email addresses. Without them the app works without both.
OPTIONAL_SCOPES: Final = ("usergroups:read", "users:read.email")

_EXPIRING: Final = "xoxe."  # docs.slack.dev/authentication/using-token-rotation
_APP: Final = "your app at https://api.slack.com/apps"
_BOT_TOKEN: Final = f"the bot's token (xoxb-...) from {_APP} > OAuth & Permissions"
_APP_TOKEN: Final = (
    f"an app-level token (xapp-...) with the scope connections:write from {_APP} > Basic Information > App-Level Tokens"
)
# What Slack's error codes mean for a token. The sentence starts with the name of the setting.
_TOKEN_ERRORS: Final = {
    "invalid_auth": "is not a token that Slack knows",
    "not_authed": "is not a token that Slack knows",
    "token_revoked": "was revoked",
    "token_expired": "has expired",
    "account_inactive": "is of an app that was removed from its workspace",
    "not_allowed_token_type": "is a token of another kind",
    "missing_scope": "lacks a scope",
    "no_permission": "may not be used for this",
    "team_access_not_granted": "is of an app that the organization has not granted access to this workspace",
    "access_denied": "is refused by Slack",
    "org_login_required": "can't be used while the workspace is being moved to an organization",
    "ekm_access_denied": "can't be used: an administrator has suspended access to the workspace",
    "forbidden_team": "is of a workspace that may not use this app",
}


class SlackUnreachableError(SyncError):
    """Slack does not answer, or not as documented. A later try may succeed."""

    code = "slack_unreachable"


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """The bot that a token belongs to (from auth.test), with required scopes that it does not have."""

    team: str
    team_id: str
    user: str
    missing_scopes: tuple[str, ...]


async def fetch_bot_identity(client: AsyncWebClient) -> BotIdentity:
    """Ask Slack which bot a token belongs to. Raises SettingsError if it is wrong, SlackUnreachableError otherwise."""
    if (client.token or "").startswith(_EXPIRING):
        raise SettingsError(
            "SLACK_BOT_TOKEN is a token that expires after 12 hours, because the app has token rotation. Only an "
            "installation over OAuth can refresh it: set SLACK_CLIENT_ID, SLACK_CLIENT_SECRET and "
            "SLACK_SIGNING_SECRET, and no SLACK_BOT_TOKEN. Or make a new app from manifest.yml, which has no token "
            "rotation (Slack can't turn it off)."
        )
    try:
        answer = await client.auth_test()
    except SlackApiError as error:
        raise _refusal(error, "SLACK_BOT_TOKEN", _BOT_TOKEN) from error
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unreachable(client, error) from error
    headers = {name.lower(): value for name, value in answer.headers.items()}
    granted = headers.get("x-oauth-scopes")
    lacking = () if granted is None else tuple(missing_scopes(granted))
    if answer.get("is_enterprise_install"):
        raise SettingsError(
            "SLACK_BOT_TOKEN is of an app that is installed for a whole organization, and with it the bot serves one "
            "workspace. Install the app in the workspace only, or over OAuth: set SLACK_CLIENT_ID, SLACK_CLIENT_SECRET "
            "and SLACK_SIGNING_SECRET, and no SLACK_BOT_TOKEN."
        )
    if not answer.get("bot_id"):
        raise SettingsError(f"SLACK_BOT_TOKEN is a token of another kind. Copy {_BOT_TOKEN}.")
    return BotIdentity(str(answer["team"]), str(answer["team_id"]), str(answer["user"]), lacking)


async def check_app_token(client: AsyncWebClient, app_token: str) -> None:
    """Ask Slack whether Socket Mode accepts a token. Raises as `fetch_bot_identity` does."""
    try:
        await client.apps_connections_open(app_token=app_token)
    except SlackApiError as error:
        raise _refusal(error, "SLACK_APP_TOKEN", _APP_TOKEN) from error
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unreachable(client, error) from error


def missing_scopes(granted: str) -> list[str]:
    """Return the required scopes that are not in `granted`, Slack's comma-separated list."""
    given = {scope.strip() for scope in granted.split(",")}
    return [scope for scope in BOT_SCOPES if scope not in given]


def lacks(identity: BotIdentity) -> str:
    """Return a sentence about the missing scopes, without a capital at the start."""
    return (
        f"the bot lacks {', '.join(identity.missing_scopes)} in {identity.team}. Give {_APP} the manifest.yml of this "
        "version (App Manifest), then press Reinstall to Workspace under OAuth & Permissions."
    )


def _refusal(error: SlackApiError, setting: str, remedy: str) -> SyncError:
    word = word_of(error)
    if word not in _TOKEN_ERRORS:
        return SlackUnreachableError(f"Slack does not answer as it should ({word}, {status_of(error)})")
    return SettingsError(f"{setting} {_TOKEN_ERRORS[word]} ({word}). Copy {remedy}.")


def _unreachable(client: AsyncWebClient, error: Exception) -> SyncError:
    if fault := network.certificate_fault(error, URL(client.base_url).host or ""):
        return SettingsError(fault)
    if isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ClientProxyConnectionError):
        return SlackUnreachableError(f"Slack can't be reached: {network.why_unreachable(error)}")
    return SlackUnreachableError(f"Slack can't be reached ({type(error).__name__})")
