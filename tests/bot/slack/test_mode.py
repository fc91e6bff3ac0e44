"""The settings decide how Slack reaches the process."""

import pytest

from bot.slack.mode import SlackMode, mode_of
from core.errors import SettingsError
from core.settings import Settings

BOT, APP = {"SLACK_BOT_TOKEN": "xoxb-x"}, {"SLACK_APP_TOKEN": "xapp-x"}
SIGNING, CLIENT = {"SLACK_SIGNING_SECRET": "x"}, {"SLACK_CLIENT_ID": "1.2"}
SECRET = {"SLACK_CLIENT_SECRET": "x"}


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ({}, SlackMode.OFFLINE),
        (BOT | APP, SlackMode.SOCKET),
        (BOT | APP | SIGNING | CLIENT | SECRET, SlackMode.SOCKET),
        (BOT | SIGNING, SlackMode.HTTP),
        (BOT | SIGNING | CLIENT | SECRET, SlackMode.HTTP),
        (CLIENT | SECRET | SIGNING, SlackMode.MANY),
    ],
)
def test_mode(values: dict[str, str], mode: SlackMode) -> None:
    """The tokens decide the mode, and a bot token means one workspace."""
    assert mode_of(Settings.model_validate(values)) is mode


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (BOT, "SLACK_APP_TOKEN for Socket Mode .* or SLACK_SIGNING_SECRET for HTTP mode"),
        (APP, "SLACK_APP_TOKEN is set, and SLACK_BOT_TOKEN is not"),
        (SIGNING, "SLACK_SIGNING_SECRET is set, and SLACK_BOT_TOKEN is not"),
        (CLIENT, "SLACK_CLIENT_SECRET and SLACK_SIGNING_SECRET are not set"),
        (SECRET | SIGNING, "SLACK_CLIENT_ID is not set"),
    ],
)
def test_half_of_a_mode(values: dict[str, str], sentence: str) -> None:
    """If the settings of a mode are incomplete, the error names what is missing."""
    with pytest.raises(SettingsError, match=sentence):
        mode_of(Settings.model_validate(values))


def test_places_without_a_workspace() -> None:
    """For many workspaces, a place that all workspaces could read is refused."""
    values = CLIENT | SECRET | SIGNING
    scoped = Settings.model_validate({**values, "audience_paths": "T1=/data/a"})
    assert mode_of(scoped) is SlackMode.MANY
    with pytest.raises(SettingsError, match="ITERABLE_SYNC_AUDIENCE_PATHS names places without a workspace"):
        mode_of(Settings.model_validate({**values, "audience_paths": "T1=/data/a;/data/b"}))
