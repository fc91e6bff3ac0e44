"""The objects of the local Slack, each with Slack's JSON of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

APP_ID = "A0SYNCAPP01"

Json = dict[str, Any]
Values = dict[str, dict[str, Json]]


@dataclass
class Team:
    """A workspace."""

    id: str
    name: str
    domain: str
    organization: str = ""  # its id, if the workspace belongs to one (Enterprise Grid)


@dataclass
class User:
    """A person in a workspace, or the user that stands for the app's bot."""

    id: str
    team_id: str
    name: str
    real_name: str
    title: str = ""
    is_admin: bool = False
    is_owner: bool = False
    is_bot: bool = False
    is_restricted: bool = False  # a guest of several channels
    is_ultra_restricted: bool = False  # a guest of one channel; Slack sets is_restricted, too
    deleted: bool = False  # deactivated
    tz: str = "Etc/UTC"
    connected_to: str = ""  # the workspace that shares a channel with theirs (Slack Connect, or of one organization)
    organization: str = ""  # its id (Enterprise Grid)
    teams: tuple[str, ...] = ()  # the workspaces of the organization that they belong to
    views: list[View] = field(default_factory=list, repr=False)
    home: View | None = None

    @property
    def email(self) -> str:
        """The person's address, always at example.com."""
        return f"{self.name}@example.com"

    @property
    def app_team_id(self) -> str:
        """The workspace whose app the person meets: their own, or the one that shares a channel with it."""
        return self.connected_to or self.team_id

    def as_json(self, with_email: bool = False) -> Json:
        """Return the user object of users.info; the address needs the scope users:read.email.

        Guests, bots and deactivated people have the fields of docs.slack.dev/reference/objects/user-object; a
        deactivated person has no roles and no time zone. A person from another workspace is `is_stranger` and keeps
        their own team_id (docs.slack.dev/apis/slack-connect, "External members"). A person of an organization has
        `enterprise_user` with all of their workspaces (docs.slack.dev/reference/objects/user-object).
        """
        profile = {"real_name": self.real_name, "display_name": self.real_name, "title": self.title}
        if with_email and not self.is_bot:
            profile["email"] = self.email
        common: Json = {"id": self.id, "team_id": self.team_id, "name": self.name, "deleted": self.deleted}
        if self.deleted:
            return {**common, "is_bot": self.is_bot, "is_app_user": False, "profile": profile}
        if self.organization:
            common["enterprise_user"] = {
                "id": self.id,
                "enterprise_id": self.organization,
                "is_admin": False,
                "is_owner": False,
                "teams": list(self.teams),
            }
        elif self.connected_to:
            return {**common, "real_name": self.real_name, "is_stranger": True, "is_bot": False, "profile": profile}
        return {
            **common,
            "real_name": self.real_name,
            "is_admin": self.is_admin,
            "is_owner": self.is_owner,
            "is_primary_owner": self.is_owner,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": self.is_ultra_restricted,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "tz": self.tz,
            "tz_offset": int(_offset(self.tz)),
            "profile": profile,
        }


def _offset(zone: str) -> float:
    offset = datetime.now(ZoneInfo(zone)).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


@dataclass
class Channel:
    """A public or private channel, or a direct message between a person and the bot."""

    id: str
    team_id: str
    name: str
    topic: str = ""
    is_private: bool = False
    is_im: bool = False
    is_archived: bool = False
    members: set[str] = field(default_factory=set)
    person: str = ""  # direct message: the person's id
    messages: list[Message] = field(default_factory=list, repr=False)

    def as_json(self, bot_user: str) -> Json:
        """Return the conversation object as the bot sees it."""
        if self.is_im:
            return {"id": self.id, "is_im": True, "user": self.person, "context_team_id": self.team_id}
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_member": bot_user in self.members,
            "is_general": self.name == "general",
            "context_team_id": self.team_id,
            "topic": {"value": self.topic, "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
            "num_members": len(self.members),
        }


@dataclass
class File:
    """An uploaded file; `channels` lists where it was shared."""

    id: str
    team_id: str
    name: str
    user: str
    url: str
    created: int
    content: bytes | None = field(default=None, repr=False)
    title: str = ""
    mimetype: str = "application/octet-stream"
    channels: set[str] = field(default_factory=set)
    for_app: bool = False  # given to the app through a file_input or uploaded by it
    announced_size: int = 0
    external_type: str = ""  # the service of a file that Slack only links to, as "gdrive"
    moved_to: str = ""  # the redirect address of a download

    @property
    def size(self) -> int:
        """The size in bytes; as announced until the upload."""
        return len(self.content) if self.content is not None else self.announced_size

    def as_json(self) -> Json:
        """Return the file object (docs.slack.dev/reference/objects/file-object).

        For an external file, `url_private` is its address outside of Slack.
        """
        extension = self.name.rsplit(".", 1)[-1].lower() if "." in self.name else "binary"
        return {
            "id": self.id,
            "created": self.created,
            "timestamp": self.created,
            "name": self.name,
            "title": self.title or self.name,
            "mimetype": self.mimetype,
            "filetype": extension,
            "pretty_type": extension.upper(),
            "user": self.user,
            "user_team": self.team_id,
            "size": self.size,
            "mode": "external" if self.external_type else "hosted",
            "is_external": bool(self.external_type),
            "external_type": self.external_type,
            "is_public": False,
            "file_access": "visible",
            "url_private": self.url,
            "url_private_download": self.url,
            "channels": sorted(self.channels),
        }


@dataclass
class Message:
    """A message in a conversation; with `only_for`, only that person sees it."""

    ts: str
    channel: Channel
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    bot_id: str | None = None
    only_for: str | None = None
    edited: str | None = None
    files: list[File] = field(default_factory=list)
    metadata: Json | None = None
    broadcast: bool = False
    values: dict[str, Values] = field(default_factory=dict)  # what each person has chosen in it

    def as_json(self) -> Json:
        """Return the message object of payloads and answers."""
        shown: Json = {"type": "message", "user": self.user, "ts": self.ts, "text": self.text}
        shown["team"] = self.channel.team_id
        if self.bot_id:
            shown["bot_id"] = self.bot_id
            shown["app_id"] = APP_ID
        if self.blocks:
            shown["blocks"] = self.blocks
        if self.thread_ts:
            shown["thread_ts"] = self.thread_ts
        if self.edited and not self.blocks:
            shown["edited"] = {"user": self.user, "ts": self.edited}
        if self.files:
            shown["files"] = [file.as_json() for file in self.files]
            if not self.bot_id:
                shown["subtype"] = "file_share"
        if self.metadata:
            shown["metadata"] = self.metadata
        if self.only_for:
            shown["is_ephemeral"] = True
        return shown


@dataclass
class View:
    """A modal or a home tab that a person has open."""

    id: str
    team_id: str
    user: str
    bot_id: str
    app_id: str
    source: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    values: Values = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    problem: str | None = None
    channel: str = ""  # where the person was when it was opened
    suggested: dict[str, list[Json]] = field(default_factory=dict)

    @property
    def blocks(self) -> list[Json]:
        """The view's blocks."""
        blocks: list[Json] = self.source["blocks"]
        return blocks

    @property
    def callback_id(self) -> str:
        """The view's callback_id; empty if it has none."""
        return str(self.source.get("callback_id") or "")

    @property
    def external_id(self) -> str:
        """The view's external_id; empty if it has none."""
        return str(self.source.get("external_id") or "")

    @property
    def title(self) -> str:
        """The modal's title."""
        return str((self.source.get("title") or {}).get("text", ""))

    def as_json(self) -> Json:
        """Return the view object of payloads and answers."""
        source = self.source
        return {
            "id": self.id,
            "team_id": self.team_id,
            "type": source["type"],
            "title": source.get("title"),
            "submit": source.get("submit"),
            "close": source.get("close"),
            "blocks": self.blocks,
            "private_metadata": source.get("private_metadata") or "",
            "callback_id": self.callback_id,
            "external_id": self.external_id,
            "clear_on_close": bool(source.get("clear_on_close")),
            "notify_on_close": bool(source.get("notify_on_close")),
            "state": {"values": self.values},
            "hash": self.hash,
            "root_view_id": self.root_id,
            "previous_view_id": self.previous_id,
            "app_id": self.app_id,
            "app_installed_team_id": self.team_id,
            "bot_id": self.bot_id,
        }
