"""The calls to Slack whose failures are tested: a new call of the bot is first added to the fault tests."""

#: Web API methods, and the other requests: uploads, downloads, response URLs, and the connection.
COVERED = frozenset(
    {
        "apps.connections.open",
        "auth.revoke",
        "auth.test",
        "chat.postEphemeral",
        "chat.postMessage",
        "chat.update",
        "download",
        "files.completeUploadExternal",
        "files.getUploadURLExternal",
        "files.info",
        "oauth.v2.access",
        "response_url",
        "socket",
        "upload",
        "usergroups.list",
        "users.info",
        "users.lookupByEmail",
        "views.open",
        "views.publish",
        "views.update",
    }
)
