"""The methods by name, each with its kind of token and its scopes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.slack.web_api import auth, blocks, chat, conversations, files, user_groups, views
from sandbox.slack.web_api.request import ApiRequest
from sandbox.slack.workspace.models import Json

CHANNELS = ("channels:read", "groups:read", "im:read", "mpim:read")


@dataclass(frozen=True)
class Method:
    """A function, and who may call it: `caller` is `bot`, `app` or `anybody`; one scope of several suffices."""

    run: Callable[[ApiRequest], Json]
    scopes: tuple[str, ...] = ()
    caller: str = "bot"


def _open_connection(request: ApiRequest) -> Json:
    """apps.connections.open; the server adds the address."""
    return {}


METHODS: dict[str, Method] = {
    "auth.test": Method(auth.auth_test),
    "auth.revoke": Method(auth.auth_revoke),
    "oauth.v2.access": Method(auth.oauth_v2_access, caller="anybody"),
    "apps.connections.open": Method(_open_connection, caller="app"),
    "blocks.validate": Method(blocks.validate, caller="anybody"),
    "chat.postMessage": Method(chat.post_message, ("chat:write",)),
    "chat.postEphemeral": Method(chat.post_ephemeral, ("chat:write",)),
    "chat.update": Method(chat.update, ("chat:write",)),
    "chat.delete": Method(chat.delete, ("chat:write",)),
    "chat.getPermalink": Method(chat.get_permalink),
    "views.open": Method(views.open_),
    "views.push": Method(views.push),
    "views.update": Method(views.update),
    "views.publish": Method(views.publish),
    "conversations.open": Method(conversations.open_, ("im:write", "mpim:write")),
    "conversations.info": Method(conversations.info, CHANNELS),
    "conversations.list": Method(conversations.list_, CHANNELS),
    "conversations.members": Method(conversations.members, CHANNELS),
    "users.info": Method(conversations.users_info, ("users:read",)),
    "users.list": Method(conversations.users_list, ("users:read",)),
    "users.lookupByEmail": Method(conversations.users_lookup_by_email, ("users:read.email",)),
    "usergroups.list": Method(user_groups.list_, ("usergroups:read",)),
    "usergroups.users.list": Method(user_groups.users_list, ("usergroups:read",)),
    "files.getUploadURLExternal": Method(files.get_upload_url, ("files:write",)),
    "files.completeUploadExternal": Method(files.complete_upload, ("files:write",)),
    "files.info": Method(files.info, ("files:read",)),
}
