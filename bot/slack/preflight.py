"""Looking whether Slack takes our tokens, before anything is started: a wrong one is a sentence, not an endless try."""

from dataclasses import dataclass
from typing import Final

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack import scopes
from bot.slack.errors import status_of, word_of
from core.errors import SettingsError, SyncError

_APP: Final = "your app at https://api.slack.com/apps"
_BOT_TOKEN: Final = f"the bot's token (xoxb-...) from {_APP} > OAuth & Permissions"
_APP_TOKEN: Final = (
    f"an app-level token (xapp-...) with the scope connections:write from {_APP} > Basic Information > App-Level Tokens"
)
# What Slack says of a token, in words that go on from the setting's name.
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
    """Slack does not answer, or not as it should; trying again later will help."""

    code = "slack_unreachable"


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """Who the bot is: from auth.test. `missing_scopes` are those that the bot needs and does not have."""

    team: str
    team_id: str
    user: str
    missing_scopes: tuple[str, ...]


async def fetch_bot_identity(client: AsyncWebClient) -> BotIdentity:
    """Ask Slack whose the bot's token is. Raises SettingsError where it is wrong, else SlackUnreachableError."""
    try:
        answer = await client.auth_test()
    except SlackApiError as error:
        raise _refusal(error, "SLACK_BOT_TOKEN", _BOT_TOKEN) from error
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unreachable(error) from error
    headers = {name.lower(): value for name, value in answer.headers.items()}
    granted = headers.get("x-oauth-scopes")
    lacking = () if granted is None else tuple(scopes.missing(granted))
    if not answer.get("bot_id"):
        raise SettingsError(f"SLACK_BOT_TOKEN is a token of another kind. Copy {_BOT_TOKEN}.")
    return BotIdentity(str(answer["team"]), str(answer["team_id"]), str(answer["user"]), lacking)


async def check_app_token(client: AsyncWebClient, app_token: str) -> None:
    """Ask Slack whether Socket Mode works with this token. Raises as `who` does."""
    try:
        await client.apps_connections_open(app_token=app_token)
    except SlackApiError as error:
        raise _refusal(error, "SLACK_APP_TOKEN", _APP_TOKEN) from error
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unreachable(error) from error


def lacks(identity: BotIdentity) -> str:
    """A sentence about the scopes that are missing."""
    return (
        f"the bot lacks {', '.join(identity.missing_scopes)} in {identity.team}. Give {_APP} the manifest.yml of this "
        "version (App Manifest), then press Reinstall to Workspace under OAuth & Permissions."
    )


def _refusal(error: SlackApiError, setting: str, remedy: str) -> SyncError:
    word = word_of(error)
    if word not in _TOKEN_ERRORS:
        return SlackUnreachableError(f"Slack does not answer as it should ({word}, {status_of(error)})")
    return SettingsError(f"{setting} {_TOKEN_ERRORS[word]} ({word}). Copy {remedy}.")


def _unreachable(error: Exception) -> SlackUnreachableError:
    return SlackUnreachableError(f"Slack can't be reached ({type(error).__name__})")
