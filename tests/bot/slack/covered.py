"""What of Slack is known to fail well: a method that the bot begins to call is first added to the fault tests."""

#: Web API methods, and what is beside them: bytes that go up and come down, and the connection.
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
        "users.info",
        "views.open",
        "views.publish",
        "views.update",
    }
)
