"""E-mails about events, by SMTP."""

import asyncio
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib.errors import (
    SMTPConnectError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPTimeoutError,
)

from core import network
from core.errors import SettingsError
from core.models.events import Event
from core.notifications import event_words, report_page
from core.notifications.answer import Answer
from core.notifications.route_address import is_loopback
from core.notifications.route_secrets import RouteSecrets

# How long sending an e-mail may take in all, in seconds.
TIMEOUT_S = 30.0
_PORTS = {"smtp": 587, "smtps": 465}
_TAKEN = 250


async def send(route: RouteSecrets, delivery_id: str, event: str) -> Answer:
    """Send an event (JSON) as an e-mail."""
    parsed = Event.model_validate_json(event)
    text, page = "\n\n".join(event_words.lines(parsed)), None
    if parsed.report is not None:
        page = report_page.render(parsed.report, event_words.title(parsed))
    message = new_message(route, delivery_id, event_words.title(parsed), text, page)
    message["Date"] = format_datetime(parsed.at)
    return await send_message(route, message)


def new_message(route: RouteSecrets, message_id: str, subject: str, text: str, page: str | None = None) -> EmailMessage:
    """Return an e-mail without a date, as text and (optionally) as HTML. Its id stays the same in repeated attempts."""
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())
    message["From"] = f"Iterable Sync <{route.sender}>"
    message["To"] = ", ".join(route.recipients)
    message["Message-ID"] = f"<{message_id}@{route.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no one's holiday notice answers it
    message.set_content(text + "\n")
    if page is not None:
        message.add_alternative(page, subtype="html")
    return message


async def send_message(route: RouteSecrets, message: EmailMessage) -> Answer:
    """Send an e-mail to all recipients of a route, and return the mail server's answer."""
    parts = urlsplit(route.url)
    host = parts.hostname or ""
    is_encrypted = parts.scheme == "smtps"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await aiosmtplib.send(
                message,
                recipients=list(route.recipients),
                sender=route.sender,
                hostname=host,
                port=parts.port or _PORTS[parts.scheme],
                username=unquote(parts.username) if parts.username else None,
                password=route.secret or None,
                use_tls=is_encrypted,
                start_tls=not is_encrypted and not is_loopback(host),
                tls_context=network.tls_context(),
                timeout=TIMEOUT_S,
            )
    except (SMTPException, OSError, TimeoutError, ValueError, SettingsError) as error:
        return _answer_of(error)
    return Answer(True, _TAKEN)


def _answer_of(error: Exception) -> Answer:
    if isinstance(error, SMTPRecipientsRefused):
        codes = [each.code for each in error.recipients]
        is_final = all(code >= 500 for code in codes)
        return Answer(False, codes[0], "the mail server refuses the recipients", is_final=is_final)
    if isinstance(error, SMTPResponseException):
        return Answer(False, error.code, f"the mail server answered {error.code}")
    if isinstance(error, SettingsError):
        return Answer(False, error=error.message)
    if isinstance(error, SMTPTimeoutError | TimeoutError):
        return Answer(False, error="no answer came in time")
    if isinstance(error, SMTPConnectError | OSError):
        return Answer(False, error="no connection can be made")
    return Answer(False, error="the mail server does not speak SMTP as expected")
