"""Firehose messages, as mParticle writes them."""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = "2.9.0"

Message = dict[str, Any]


@dataclass(frozen=True)
class Audience:
    """A connected audience, with the settings of its connection."""

    id: int
    name: str
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Profile:
    """A profile. Identities are raw, unless `encoding` says that they are hashes."""

    mpid: int | None
    email: str | None = None
    customer_id: str | None = None
    encoding: str = "raw"
    attributes: Mapping[str, str | list[str] | None] | None = field(default=None, hash=False)
    """User attributes that changed; None for one that was deleted."""

    def attributes_as_json(self) -> list[Message] | None:
        """Return the attributes as in a message."""
        if self.attributes is None:
            return None
        return [
            {
                "key": key,
                "action": "delete" if value is None else "upsert",
                "value": value if isinstance(value, str) else None,
                "list_value": value if isinstance(value, list) else None,
            }
            for key, value in self.attributes.items()
        ]

    def as_json(self) -> Message:
        """Return the profile as in a message, without its audiences."""
        identities = [("email", self.email), ("customer", self.customer_id)]
        return {
            "mpid": None if self.mpid is None else str(self.mpid),
            "user_identities": [
                {"type": kind, "encoding": self.encoding, "value": value} for kind, value in identities if value
            ],
            "device_identities": [],
        }


def _message(kind: str, at: int | None, **more: Any) -> Message:
    return {
        "type": f"{kind}_request",
        "id": str(uuid.uuid4()),
        "timestamp_ms": time.time_ns() // 1_000_000 if at is None else at,
        "firehose_version": VERSION,
        **more,
    }


def account(account_id: int, settings: Mapping[str, str]) -> Message:
    """Return the account object of a message."""
    return {"account_id": account_id, "account_settings": dict(settings)}


def registration() -> Message:
    """Return a registration request."""
    return _message("module_registration", None)


def subscription(
    sender: Message,
    audience: Audience,
    action: str,
    *,
    previous: Mapping[str, str] | None = None,
    at: int | None = None,
) -> Message:
    """Return a subscription message. `action` is `add` (connected), `update` (changed) or `remove` (disconnected)."""
    return _message(
        "audience_subscription",
        at,
        account=sender,
        audience_id=audience.id,
        audience_name=audience.name,
        audience_subscription_settings=dict(audience.settings),
        previous_audience_subscription_settings=None if previous is None else dict(previous),
        action=action,
    )


def membership(
    sender: Message, audience: Audience, changes: Iterable[tuple[str, Profile]], *, at: int | None = None
) -> Message:
    """Return a membership message: profiles joined (`add`), left (`delete`) or changed (`attribute_update`)."""
    audience_fields = {
        "audience_id": audience.id,
        "audience_name": audience.name,
        "audience_subscription_settings": dict(audience.settings),
    }
    profiles = [
        {
            **profile.as_json(),
            "audiences": [{**audience_fields, "action": action, "user_attributes": profile.attributes_as_json()}],
        }
        for action, profile in changes
    ]
    return _message("audience_membership_change", at, account=sender, user_profiles=profiles)


def ping(sender: Message) -> Message:
    """Return a message without profiles, by which mParticle checks the endpoint."""
    return _message("audience_membership_change", None, account=sender)


def erasure(sender: Message, identities: Mapping[str, str], *, at: int | None = None) -> Message:
    """Return a request to erase a person."""
    return _message(
        "dsr_processing",
        at,
        account=sender,
        subject_request_id=str(uuid.uuid4()),
        subject_request_type="erasure",
        submitted_time="2026-01-31T12:00:00Z",
        subject_identities={name: {"encoding": "raw", "value": value} for name, value in identities.items()},
        api_version="1.0",
        regulation="gdpr",
    )


def events(sender: Message) -> Message:
    """Return an event message, which an audience integration ignores."""
    return _message("event_processing", None, account=sender, user_identities=[], events=[{"type": "session_start"}])
