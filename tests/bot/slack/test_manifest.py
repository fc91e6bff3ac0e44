"""The manifest has exactly the commands, shortcuts, events and scopes that the code uses."""

import ast
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from slack_sdk.web.async_client import AsyncWebClient

from bot.app import register_listeners
from bot.demo import environment
from bot.services import Services
from bot.slack import app_factory
from bot.slack.app_factory import Workspaces, build_app
from bot.slack.clients import Clients
from bot.slack.installation_store import EncryptedInstallationStore
from bot.slack.instrumentation import MeasuredApp
from bot.slack.mode import mode_of
from bot.slack.preflight import BOT_SCOPES, OPTIONAL_SCOPES
from core.settings import Settings

ROOT = Path(__file__).parents[3]
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text())

#: The scope that a bot's token needs for a method of the Web API, from the method's page (docs.slack.dev/reference/
#: methods/...); "" if it needs none, or if the call is made with another token.
SCOPES = {
    "apps_connections_open": "",
    "auth_revoke": "",
    "auth_test": "",
    "chat_delete": "chat:write",
    "chat_getPermalink": "",
    "chat_postEphemeral": "chat:write",
    "chat_postMessage": "chat:write",
    "chat_update": "chat:write",
    "conversations_info": "channels:read",
    "conversations_list": "channels:read",
    "conversations_members": "channels:read",
    "conversations_open": "im:write",
    "files_completeUploadExternal": "files:write",
    "files_getUploadURLExternal": "files:write",
    "files_info": "files:read",
    "files_upload_v2": "files:write",
    "oauth_v2_access": "",
    "usergroups_list": "usergroups:read",
    "users_info": "users:read",
    "users_list": "users:read",
    "users_lookupByEmail": "users:read.email",
    "views_open": "",
    "views_publish": "",
    "views_push": "",
    "views_update": "",
}
METHODS = {name for name in dir(AsyncWebClient) if "_" in name.strip("_") and not name.startswith("_")} - {"api_call"}


class Recording(MeasuredApp):
    """A Bolt app that records its listeners."""

    def __init__(self, **options: Any) -> None:
        self.listeners: dict[str, set[str]] = {"command": set(), "shortcut": set(), "event": set(), "other": set()}
        super().__init__(**options)

    def command(self, command: Any, *rest: Any, **more: Any) -> Callable[..., Any]:
        """Record a command."""
        self.listeners["command"].add(str(command))
        return super().command(command, *rest, **more)

    def shortcut(self, constraints: Any, *rest: Any, **more: Any) -> Callable[..., Any]:
        """Record a shortcut."""
        self.listeners["shortcut"].add(str(constraints))
        return super().shortcut(constraints, *rest, **more)

    def message_shortcut(self, callback_id: Any, *rest: Any, **more: Any) -> Callable[..., Any]:
        """Record a shortcut on messages."""
        self.listeners["shortcut"].add(str(callback_id))
        return super().message_shortcut(callback_id, *rest, **more)

    def event(self, event: Any, *rest: Any, **more: Any) -> Callable[..., Any]:
        """Record an event."""
        self.listeners["event"].add(str(event))
        return super().event(event, *rest, **more)

    def message(self, *rest: Any, **more: Any) -> Callable[..., Any]:
        """Record a listener on messages, for which the manifest would need more scopes."""
        self.listeners["other"].add("message")
        return super().message(*rest, **more)

    def function(self, *rest: Any, **more: Any) -> Callable[..., Any]:
        """Record a function, which the manifest would have to declare."""
        self.listeners["other"].add("function")
        return super().function(*rest, **more)


SOCKET_MODE = {"SLACK_BOT_TOKEN": "xoxb-x", "SLACK_APP_TOKEN": "xapp-x"}
MANY = {"SLACK_CLIENT_ID": "1.2", "SLACK_CLIENT_SECRET": "x", "SLACK_SIGNING_SECRET": "x"}


@pytest.fixture(params=[SOCKET_MODE, MANY], ids=["one workspace", "many workspaces"])
def app(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """The bot with all its listeners."""
    monkeypatch.setattr(app_factory, "MeasuredApp", Recording)
    settings = Settings.model_validate(request.param)
    store = cast(EncryptedInstallationStore, _Store()) if settings.slack_client_id else None
    workspaces = Workspaces(Clients(settings.slack_api_url, None, None), store, cast(Any, _Store()))
    app = register_listeners(build_app(settings, mode_of(settings), workspaces), cast(Services, _Services()))
    assert isinstance(app, Recording)
    return app


class _Services:
    """Replaces the services, which registration does not use."""

    one_workspace = False
    people = is_named = replies = None


class _Store:
    """Replaces a store, which registration does not use."""

    client_id = "1.2"
    logger = None


def _called() -> Iterator[tuple[str, str]]:
    """Yield each method of the Web API that the bot's code names, with its place."""
    for path in sorted((ROOT / "bot").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                yield node.attr, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_commands_shortcuts_and_events(app: Recording) -> None:
    """The manifest names exactly the commands, shortcuts and events that the bot listens to."""
    features = MANIFEST["features"]

    assert app.listeners == {
        "command": {entry["command"] for entry in features["slash_commands"]},
        "shortcut": {entry["callback_id"] for entry in features["shortcuts"]},
        "event": set(MANIFEST["settings"]["event_subscriptions"]["bot_events"]),
        "other": set(),
    }


def test_scopes() -> None:
    """The manifest asks for exactly the scopes that the code's calls need."""
    unknown = {f"{method} ({place})" for method, place in _called() if method not in SCOPES}
    needed = {SCOPES[method] for method, _ in _called() if method in SCOPES} - {""} | {"commands"}

    assert not unknown
    assert set(MANIFEST["oauth_config"]["scopes"]["bot"]) == needed - set(OPTIONAL_SCOPES)
    assert set(BOT_SCOPES) == needed - set(OPTIONAL_SCOPES)
    assert set(OPTIONAL_SCOPES) < needed


def test_manifest_for_user_groups() -> None:
    """manifest-usergroups.yml is the manifest with the optional scopes, and nothing else."""
    scopes = sorted({*BOT_SCOPES, *OPTIONAL_SCOPES})
    variant: dict[str, Any] = yaml.safe_load((ROOT / "manifest-usergroups.yml").read_text())
    assert variant == {**MANIFEST, "oauth_config": {"scopes": {"bot": scopes}}}


def test_limits() -> None:
    """The texts of the manifest are within Slack's limits."""
    display, features = MANIFEST["display_information"], MANIFEST["features"]

    assert len(display["name"]) <= 35
    assert len(display["description"]) <= 140
    assert 175 <= len(display["long_description"]) <= 4000
    assert len(features["bot_user"]["display_name"]) <= 80
    for command in features["slash_commands"]:
        assert len(command["description"]) <= 2000
        assert len(command["usage_hint"]) <= 1000
    for shortcut in features["shortcuts"]:
        assert len(shortcut["name"]) <= 24
        assert len(shortcut["description"]) <= 150


def test_features() -> None:
    """The manifest turns on the home page, direct messages, buttons and Socket Mode, and leaves off what the bot can't
    handle."""
    home, settings = MANIFEST["features"]["app_home"], MANIFEST["settings"]

    assert home["home_tab_enabled"]
    assert home["messages_tab_enabled"]
    assert settings["interactivity"]["is_enabled"]
    assert settings["socket_mode_enabled"]
    assert not settings["token_rotation_enabled"]
    assert not settings["org_deploy_enabled"]


def test_manifest_is_installed() -> None:
    """The installed package contains the manifest of the repository."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert environment.MANIFEST.is_relative_to(ROOT / "bot")
    assert any(fnmatch(environment.MANIFEST.name, pattern) for pattern in options["package-data"]["*"])
    assert environment.MANIFEST.read_text() == (ROOT / "manifest.yml").read_text()
