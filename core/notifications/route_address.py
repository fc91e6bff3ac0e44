"""Addresses of routes: checked, and split into what people see and what is stored encrypted."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from core.errors import ValidationError
from core.notifications import templates, webhook
from core.notifications.route_secrets import RouteSecrets
from core.store.routes import RouteKind

#: PagerDuty's addresses by region. Source: https://developer.pagerduty.com/docs/send-alert-event
PAGERDUTY_REGIONS = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}
#: The events that a route gets if no one chose others.
ALERTS = ("alert.*",)
# An address of a mailbox, as far as it has to be checked before a mail server does.
_MAILBOX = re.compile(r"[^@\s,;<>\"]{1,64}@[^@\s,;<>\"]{1,255}")
# An id of a channel or a person in Slack.
_SLACK_ID = re.compile(r"[CGUW][A-Z0-9]{2,20}")
# Routing keys of PagerDuty have 32 characters.
_ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")
# Recipients of an e-mail.
_MOST_RECIPIENTS = 20


@dataclass(frozen=True, slots=True)
class RouteOptions:
    """What a person chooses. `address` is a webhook's URL, PagerDuty's address, a mail server, or a channel or person.

    `secret` is a webhook's signing secret ("": a new one), PagerDuty's routing key, or the password of the mail server.
    `events` are types, or patterns such as `run.*`. A fallback gets only alerts that Slack has not shown.
    """

    name: str
    kind: RouteKind
    address: str
    secret: str = ""
    headers: dict[str, str] | None = None
    template: str = ""
    recipients: Sequence[str] = ()
    sender: str = ""
    events: Sequence[str] = ALERTS
    connection_id: int | None = None
    is_fallback: bool = False


def target_and_secrets(options: RouteOptions) -> tuple[str, RouteSecrets | None]:
    """Return what people see of the address, and what is stored encrypted. Raises ValidationError."""
    match options.kind:
        case RouteKind.WEBHOOK:
            url = check_url(options.address)
            secret = webhook.check_secret(options.secret) if options.secret else webhook.new_secret()
            template = templates.check(options.template) if options.template else ""
            headers = options.headers or {}
            return origin_of(url), RouteSecrets(url=url, secret=secret, headers=headers, template=template)
        case RouteKind.PAGERDUTY:
            if not _ROUTING_KEY.fullmatch(options.secret):
                raise ValidationError("PagerDuty's routing key (integration key) has 32 letters and digits.")
            url = check_url(options.address)
            return origin_of(url), RouteSecrets(url=url, secret=options.secret)
        case RouteKind.EMAIL:
            return _mail(options)
        case RouteKind.SLACK:
            if not _SLACK_ID.fullmatch(options.address):
                raise ValidationError("Give the id of a channel or a person in Slack, such as C0123ABCD or U0123ABCD.")
            return options.address, None


def _mail(options: RouteOptions) -> tuple[str, RouteSecrets]:
    url = _check_mail_server(options.address)
    recipients = tuple(dict.fromkeys(recipient.strip() for recipient in options.recipients))
    if not 1 <= len(recipients) <= _MOST_RECIPIENTS or not all(map(_MAILBOX.fullmatch, recipients)):
        raise ValidationError(f"An e-mail has 1 to {_MOST_RECIPIENTS} recipients, such as ops@example.com.")
    user = unquote(urlsplit(url).username or "")
    sender = options.sender or (user if _MAILBOX.fullmatch(user) else f"iterable-sync@{urlsplit(url).hostname}")
    if not _MAILBOX.fullmatch(sender):
        raise ValidationError("The sender is not an address.")
    if user and not options.secret:
        raise ValidationError("The mail server has a user, so it needs a password.")
    number = "1 recipient" if len(recipients) == 1 else f"{len(recipients)} recipients"
    secrets = RouteSecrets(url=url, secret=options.secret, recipients=recipients, sender=sender)
    return f"{number} by {origin_of(url)}", secrets


def _check_mail_server(text: str) -> str:
    """Return the address of a mail server. Raises ValidationError if it is none, or has a password in it."""
    host, port = _host_and_port(text)
    parts = urlsplit(text.strip())
    if parts.scheme not in ("smtp", "smtps") or not host or parts.path.strip("/") or port == 0:
        raise ValidationError("Give the mail server as smtps://user@host:465, or smtp://user@host:587 for STARTTLS.")
    if parts.password is not None:
        raise ValidationError("Leave the password out of the address, and give it on standard input.")
    return text.strip()


def check_url(text: str) -> str:
    """Return the address of a receiver. Raises ValidationError if it is not HTTPS, or HTTP to this machine."""
    url = text.strip()
    host, _ = _host_and_port(url)
    if not host:
        raise ValidationError("That is not the address of a receiver. Give it as https://host/path.")
    parts = urlsplit(url)
    if parts.username is not None:
        raise ValidationError("The address has a user or password in it. Give these in a header instead.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValidationError(
            "The address must begin with https://; http:// is possible on this machine only (127.0.0.1, localhost)."
        )
    return url


def _host_and_port(text: str) -> tuple[str | None, int | None]:
    """Return the host and the port of an address; None for the host if it is not an address."""
    url = text.strip()
    if not url.isascii() or not url.isprintable() or " " in url:
        return None, None
    try:
        return urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        return None, None


def origin_of(url: str) -> str:
    """Return the scheme and host of an address: a path often contains a secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
