"""The health of a Socket Mode connection: its greeting, the age of the last envelope, and the bot's token.

A connection can be alive and deaf: after an idle time pings are answered, and no envelope arrives. Nothing on the
connection shows it. A new connection ends it, and so do regular calls of auth.test (slackapi/bolt-python#1529 and #417,
slackapi/node-slack-sdk#2443). So a connection without a greeting, or one that was silent for long, is replaced.
"""

import time
from typing import Any

from slack_sdk.socket_mode.aiohttp import SocketModeClient

from bot.metrics import SLACK_CONNECTED, SLACK_ENVELOPE_AGE, SLACK_RECONNECTS

#: A connection that was silent for this long is replaced, in seconds. Most workspaces are silent at night.
SILENT_S = 600.0
#: Slack greets a new connection at once (`hello`). One without a greeting after this time is replaced, in seconds.
GREETING_S = 15.0
#: How often auth.test is called, in seconds.
CHECK_TOKEN_EVERY_S = 60.0

_SOCKET = "socket"


class SocketHealth:
    """What the process knows about its Socket Mode connection, for `/readyz`, the metrics, and the reconnection."""

    def __init__(self) -> None:
        """No I/O. Nothing is measured before `watch`."""
        self.token_fault: str | None = None
        self._is_connected = False
        self._session: Any = None
        self._greeted: Any = None
        self._opened_at = self._enveloped_at = self._checked_at = time.monotonic()
        self._is_watched = False

    def watch(self, client: SocketModeClient) -> None:
        """Start to look at the messages of a client. The metrics are exported from now on."""

        async def on_message(_client: object, message: dict[str, Any], _raw: str | None) -> None:
            if message.get("type") == "hello":
                self._greeted = client.current_session
            elif "envelope_id" in message:
                self._enveloped_at = time.monotonic()

        client.message_listeners.append(on_message)
        self._is_watched = True
        self._opened_at = self._enveloped_at = self._checked_at = time.monotonic()
        SLACK_ENVELOPE_AGE.labels(mode=_SOCKET).set_function(lambda: time.monotonic() - self._enveloped_at)

    def close(self) -> None:
        """Export the metrics no longer."""
        self._is_watched = False
        for metric in (SLACK_CONNECTED, SLACK_ENVELOPE_AGE):
            metric.clear()

    async def look(self, client: SocketModeClient) -> str | None:
        """Look at the connection. Returns why it has to be replaced ("silent", "not_greeted"), or None.

        A connection that is lost is not named: slack-sdk replaces it.
        """
        now = time.monotonic()
        if client.current_session is not self._session:
            self._session, self._opened_at = client.current_session, now
        self._is_connected = await client.is_connected()
        is_greeted = self._greeted is self._session
        SLACK_CONNECTED.labels(mode=_SOCKET).set(self._is_connected and is_greeted)
        if not self._is_connected:
            return None
        if not is_greeted:
            return "not_greeted" if now - self._opened_at >= GREETING_S else None
        return "silent" if now - max(self._opened_at, self._enveloped_at) >= SILENT_S else None

    async def replace(self, client: SocketModeClient, reason: str) -> None:
        """Replace the connection, and count the reason."""
        SLACK_RECONNECTS.labels(reason=reason).inc()
        await client.connect_to_new_endpoint(force=True)

    def is_token_due(self) -> bool:
        """Return whether auth.test is due, and count from now."""
        now = time.monotonic()
        if now - self._checked_at < CHECK_TOKEN_EVERY_S:
            return False
        self._checked_at = now
        return True

    def state(self) -> dict[str, str]:
        """Return the check "slack" for `/readyz`: "ok", or what is wrong. Empty without Socket Mode."""
        if not self._is_watched:
            return {}
        if self.token_fault is not None:
            return {"slack": self.token_fault}
        if not self._is_connected:
            return {"slack": "is not connected"}
        return {"slack": "ok" if self._greeted is self._session else "has not greeted the connection"}
