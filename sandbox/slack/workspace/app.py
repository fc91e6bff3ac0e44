"""The app of the local Slack: its credentials, and the content of its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.slack.workspace.models import APP_ID

DEFAULT_SCOPES = (
    "commands",
    "chat:write",
    "files:read",
    "files:write",
    "users:read",
    "channels:read",
    "groups:read",
    "im:write",
)
DEFAULT_EVENTS = ("app_home_opened", "app_uninstalled", "tokens_revoked")


@dataclass
class Command:
    """A slash command."""

    command: str
    description: str = ""
    usage_hint: str = ""
    should_escape: bool = False


@dataclass
class Shortcut:
    """A shortcut; `kind` is `message` or `global`."""

    callback_id: str
    name: str
    kind: str = "message"


@dataclass
class App:
    """One Slack app. The tokens are fixed, so that a bot can be restarted with the same ones."""

    id: str = APP_ID
    name: str = "iterable-sync"
    title: str = "Iterable Sync"
    client_id: str = "1000000000001.2000000000002"
    client_secret: str = "local-client-secret"  # noqa: S105 - it opens nothing but this sandbox
    signing_secret: str = "local-signing-secret"  # noqa: S105 - it opens nothing but this sandbox
    app_token: str = "xapp-local"  # noqa: S105 - it opens nothing but this sandbox
    home_enabled: bool = True
    messages_read_only: bool = False
    token_rotation: bool = False
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    events: tuple[str, ...] = DEFAULT_EVENTS
    redirect_urls: tuple[str, ...] = ()
    commands: list[Command] = field(
        default_factory=lambda: [Command("/iterable-sync", "Sync an audience to Iterable", "[help]")]
    )
    shortcuts: list[Shortcut] = field(
        default_factory=lambda: [Shortcut("sync-to-iterable", "Sync to Iterable")],
    )

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> App:
        """Create the app from a parsed manifest."""
        features = manifest.get("features", {})
        settings = manifest.get("settings", {})
        oauth = manifest.get("oauth_config", {})
        app = cls(
            title=manifest["display_information"]["name"],
            home_enabled=bool(features.get("app_home", {}).get("home_tab_enabled")),
            messages_read_only=bool(features.get("app_home", {}).get("messages_tab_read_only_enabled")),
            token_rotation=bool(settings.get("token_rotation_enabled")),
            scopes=tuple(oauth.get("scopes", {}).get("bot", ())),
            events=tuple(settings.get("event_subscriptions", {}).get("bot_events", ())),
            redirect_urls=tuple(oauth.get("redirect_urls", ())),
            commands=[
                Command(
                    command["command"],
                    command.get("description", ""),
                    command.get("usage_hint", ""),
                    bool(command.get("should_escape")),
                )
                for command in features.get("slash_commands", ())
            ],
            shortcuts=[
                Shortcut(shortcut["callback_id"], shortcut["name"], shortcut.get("type", "global"))
                for shortcut in features.get("shortcuts", ())
            ],
        )
        app.name = features.get("bot_user", {}).get("display_name", app.name)
        return app
