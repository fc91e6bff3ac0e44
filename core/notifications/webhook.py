"""Webhooks: an event as JSON, signed as the Standard Webhooks specification describes.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md (headers
`webhook-id`, `webhook-timestamp`, `webhook-signature`; `v1,` and the base64 HMAC-SHA256 of id, time stamp and body with
dots between; secrets are `whsec_` and base64). Libraries that verify it exist for most languages.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time

from core.errors import ValidationError
from core.notifications import http_post
from core.notifications.answer import Answer
from core.notifications.route_secrets import RouteSecrets
from core.notifications.templates import render

SECRET_PREFIX = "whsec_"  # noqa: S105  # not a secret itself
# Random bytes of a signing secret. The specification asks for 24 to 64.
_SECRET_BYTES = 32


def new_secret() -> str:
    """Return a new signing secret."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def check_secret(secret: str) -> str:
    """Return a signing secret. Raises ValidationError if it is none."""
    try:
        size = len(_key(secret))
    except (binascii.Error, ValueError):
        size = 0
    if not secret.startswith(SECRET_PREFIX) or not 24 <= size <= 64:
        raise ValidationError(
            "A signing secret is whsec_ and 24 to 64 random bytes in base64. Leave it out for a new one."
        )
    return secret


def signature(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header `webhook-signature`."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


async def send(route: RouteSecrets, delivery_id: str, event: str) -> Answer:
    """Send an event (JSON) to a webhook. Raises DeliverySkippedError if its template has nothing for the event."""
    url, body = route.url, event.encode()
    if route.template:
        url, content = render(route.template, route.url, json.loads(event))
        body = json.dumps(content).encode()
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "iterable-sync",
        **route.headers,
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(route.secret, delivery_id, timestamp, body),
    }
    return await http_post.post(url, body, headers)


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
