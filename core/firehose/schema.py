"""The messages of mParticle's Firehose: requests as models, responses as JSON.

mParticle's SDK writes what it does not know as null, and its newer versions know more than these do: absent, null and
unknown are all taken. What is refused is named by its place in the message.
"""

import time
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, TypeAdapter, ValidationError

from core.errors import InputError

_INT64 = 2**63
# A database's text can't hold the first; the second is in no address that Iterable takes. (Raw, JSON has neither.)
_NUL, _REPLACEMENT = b"\\u0000", b"\\ufffd"


class MalformedError(InputError):
    """A message that is not one of the Firehose's. `field` is the place of what is wrong, such as "account"."""

    code = "malformed_message"

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")


class Encoding(StrEnum):
    """How an identity is written. All but the first are hashes; one that is not known here is taken for a hash."""

    RAW = "raw"


class MembershipAction(StrEnum):
    """What became of a profile in an audience."""

    ADD = "add"
    DELETE = "delete"
    ATTRIBUTE_UPDATE = "attribute_update"


class SubscriptionAction(StrEnum):
    """What became of an audience's connection to us."""

    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"


def _settings(value: Any) -> Any:
    return {key: each for key, each in value.items() if each is not None} if isinstance(value, dict) else value or {}


def _list(value: Any) -> Any:
    return [] if value is None else value


def _mpid(value: Any) -> Any:
    """The mpid, a signed 64-bit integer in a string; what is none tells nothing about the profile."""
    if isinstance(value, bool | float):
        return None
    try:
        found = int(value)
    except (TypeError, ValueError):
        return None
    return found if -_INT64 <= found < _INT64 else None


Settings = Annotated[dict[str, str], BeforeValidator(_settings)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


class Account(_Model):
    """The account of ours in mParticle that the message comes from: an installation of this integration."""

    account_id: int
    account_settings: Settings = Field(default_factory=dict)


class Identity(_Model):
    """An identity of a profile. Only the types `email` and `customer` matter here."""

    type: str
    encoding: str
    value: str

    @property
    def is_raw(self) -> bool:
        """Whether it is the identity itself and not a hash of it."""
        return self.encoding == Encoding.RAW


class Audience(_Model):
    """What became of a profile in one audience."""

    audience_id: int
    audience_name: str
    action: MembershipAction
    audience_subscription_settings: Settings = Field(default_factory=dict)


class UserProfile(_Model):
    """A profile whose memberships changed."""

    user_identities: Annotated[list[Identity], BeforeValidator(_list)] = Field(default_factory=list)
    audiences: Annotated[list[Audience], BeforeValidator(_list)] = Field(default_factory=list)
    mpid: Annotated[int | None, BeforeValidator(_mpid)] = None


class _Message(_Model):
    id: UUID
    timestamp_ms: int
    firehose_version: str


class ModuleRegistrationRequest(_Message):
    """Asks what this integration is."""

    type: Literal["module_registration_request"]


class AudienceSubscriptionRequest(_Message):
    """An audience was connected, changed or disconnected."""

    type: Literal["audience_subscription_request"]
    account: Account
    audience_id: int
    audience_name: str
    action: SubscriptionAction
    audience_subscription_settings: Settings = Field(default_factory=dict)
    previous_audience_subscription_settings: Settings = Field(default_factory=dict)


class AudienceMembershipChangeRequest(_Message):
    """Memberships changed; without profiles it only asks whether we are alive."""

    type: Literal["audience_membership_change_request"]
    account: Account
    user_profiles: Annotated[list[UserProfile], BeforeValidator(_list)] = Field(default_factory=list)


class SubjectIdentity(_Model):
    """An identity of the person whom an erasure is about."""

    encoding: str
    value: str


class DsrProcessingRequest(_Message):
    """Forget a person (OpenDSR)."""

    type: Literal["dsr_processing_request"]
    account: Account
    subject_request_id: str | None = None
    subject_request_type: str | None = None
    subject_identities: Annotated[dict[str, SubjectIdentity], BeforeValidator(_settings)] = Field(default_factory=dict)


class EventProcessingRequest(_Message):
    """Events, of which nothing is processed here."""

    type: Literal["event_processing_request"]


Request = (
    ModuleRegistrationRequest
    | AudienceSubscriptionRequest
    | AudienceMembershipChangeRequest
    | DsrProcessingRequest
    | EventProcessingRequest
)

_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Discriminator("type")])


def parse(body: bytes) -> Request:
    """Read a message. Raises MalformedError, which names the first field that is wrong and no value."""
    if _NUL in body:
        body = body.replace(_NUL, _REPLACEMENT)
    try:
        return _REQUEST.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise MalformedError(_place(first), _what(first)) from None


def response(request: Request, **more: Any) -> dict[str, Any]:
    """The answer to a message: its id again, the time, and whatever else that kind of answer has."""
    return {
        "type": request.type.replace("_request", "_response"),
        "id": str(request.id),
        "timestamp_ms": time.time_ns() // 1_000_000,
        "firehose_version": request.firehose_version,
        **more,
    }


def _place(error: Any) -> str:
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return "type"
    # the first part is the kind of message; what comes from the sender's own keys is cut to a readable length
    parts = [str(part)[:80] for part in error["loc"][1:]]
    return ".".join(parts) or "message"


def _what(error: Any) -> str:
    if error["type"] == "union_tag_invalid":
        return "is not a kind of message that is taken here."
    if error["type"] == "union_tag_not_found":
        return "is missing."
    if error["type"] == "json_invalid":
        return "is not JSON."
    if error["type"] == "uuid_parsing":  # its own words quote the value
        return "input should be a valid UUID."
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}."
