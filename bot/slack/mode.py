"""The mode in which Slack reaches this process, derived from the settings."""

from enum import StrEnum

from core.errors import SettingsError
from core.settings import Settings

_WHERE = "See your app at https://api.slack.com/apps"


class SlackMode(StrEnum):
    """How Slack reaches this process."""

    OFFLINE = "offline"
    """No connection: no setting for Slack is set."""
    SOCKET = "socket"
    """This process connects to Slack (Socket Mode); one workspace."""
    HTTP = "http"
    """Slack sends requests to this process; one workspace."""
    MANY = "many"
    """Slack sends requests to this process, from each workspace that has installed the app."""


def mode_of(settings: Settings) -> SlackMode:
    """Return the mode. Raises SettingsError if a mode is set only in part, and names what is missing."""
    app_token, signing_secret = settings.slack_app_token, settings.slack_signing_secret
    if settings.slack_bot_token is not None:
        return _of_one_workspace(app=app_token is not None, signing=signing_secret is not None)
    if settings.slack_client_id is not None or settings.slack_client_secret is not None:
        needed = {
            "SLACK_CLIENT_ID": settings.slack_client_id,
            "SLACK_CLIENT_SECRET": settings.slack_client_secret,
            "SLACK_SIGNING_SECRET": signing_secret,
        }
        missing = [name for name, value in needed.items() if value is None]
        if missing:
            raise SettingsError(
                f"Installing in many workspaces needs {_listed(list(needed))}, and {_listed(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} not set. {_WHERE} > Basic Information."
            )
        if settings.unscoped_places:
            raise SettingsError(
                "ITERABLE_SYNC_AUDIENCE_PATHS names places without a workspace, and many workspaces can install the "
                "app: each of them could read all of these places. Write T0123=/data/a;T0456=/data/b with the ids of "
                "the workspaces."
            )
        return SlackMode.MANY
    if app_token is not None or signing_secret is not None:
        name = "SLACK_APP_TOKEN" if app_token is not None else "SLACK_SIGNING_SECRET"
        raise SettingsError(
            f"{name} is set, and SLACK_BOT_TOKEN is not. {_WHERE} > OAuth & Permissions for it (xoxb-...)."
        )
    return SlackMode.OFFLINE


def _of_one_workspace(*, app: bool, signing: bool) -> SlackMode:
    if app:
        return SlackMode.SOCKET
    if signing:
        return SlackMode.HTTP
    raise SettingsError(
        "SLACK_BOT_TOKEN is set, but not how Slack reaches the bot. Set SLACK_APP_TOKEN for Socket Mode (xapp-..., "
        "nothing has to be reachable from outside), or SLACK_SIGNING_SECRET for HTTP mode. "
        f"{_WHERE} > Basic Information for both."
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
