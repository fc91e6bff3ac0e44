"""A local mail server, which takes, delays or refuses messages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "ops@example.com", "pass word"


@dataclass
class MailServer:
    """The server: what it has got, and how it answers. `refusal` is its answer to a recipient."""

    port: int = 0
    refusal: str = ""
    hangs: bool = False
    received: list[EmailMessage] = field(default_factory=list)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """The address of the server, with the user."""
        return f"smtp://{USER.replace('@', '%40')}@127.0.0.1:{self.port}"

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Answer to a recipient."""
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        if self.hangs:
            await self.leaving.wait()
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a message."""
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        return "250 OK"


def _authenticate(_server: object, _session: object, _envelope: object, _mechanism: str, data: object) -> AuthResult:
    is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_right, handled=False)


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """Run a mail server on this machine for the length of the block. Users have to log in."""
    server = MailServer()

    def protocol() -> SMTP:
        return SMTP(server, hostname="localhost", authenticator=_authenticate, auth_require_tls=False)

    listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.leaving.set()
        listener.close()
