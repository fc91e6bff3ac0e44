"""The messages of mParticle's Firehose: requests as models, responses as JSON.

mParticle's SDK writes unknown values as null, and newer versions have more fields: absent, null and unknown fields are
all accepted. An error names the place in the message.
"""

import time
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, TypeAdapter, ValidationError

from core.errors import InputError

#: The most audiences in one message. mParticle sends a message per subscription; each new audience creates a mapping,
#: and a stranger with the token must not create thousands with one message.
MAX_AUDIENCES = 200

_INT64 = 2**63
_PROFILES = ("audience_membership_change_request", "user_profiles")
# A database can't store the first in a text; the second is in no address that Iterable accepts. (Neither is valid raw
# JSON.)
_NUL, _REPLACEMENT = b"\\u0000", b"\\ufffd"


class MalformedError(InputError):
    """A message that is not a valid Firehose message. `field` is the place of the error, such as "account"."""

    code = "malformed_message"

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")


class Encoding(StrEnum):
    """The encoding of an identity. All but the first are hashes; an unknown encoding counts as a hash."""

    RAW = "raw"


class MembershipAction(StrEnum):
    """The change of a profile's membership in an audience."""

    ADD = "add"
    DELETE = "delete"
    ATTRIBUTE_UPDATE = "attribute_update"


class SubscriptionAction(StrEnum):
    """The change of an audience's subscription."""

    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"


def _settings(value: Any) -> Any:
    return (
        {key: setting for key, setting in value.items() if setting is not None}
        if isinstance(value, dict)
        else value or {}
    )


def _list(value: Any) -> Any:
    return [] if value is None else value


def _mpid(value: Any) -> Any:
    """Return the mpid, a signed 64-bit integer in a string, or None if it is not one.

    mParticle's SDKs use 0 if there is no user yet.
    """
    if isinstance(value, bool | float):
        return None
    try:
        mpid = int(value)
    except (TypeError, ValueError):
        return None
    return mpid if mpid and -_INT64 <= mpid < _INT64 else None


Settings = Annotated[dict[str, str], BeforeValidator(_settings)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


class Account(_Model):
    """The mParticle account that sent the message: an installation of this integration."""

    account_id: int
    account_settings: Settings = Field(default_factory=dict)


class Identity(_Model):
    """An identity of a profile. Only the types `email` and `customer` matter here."""

    type: str
    encoding: str
    value: str

    @property
    def is_raw(self) -> bool:
        """Whether it is the identity itself, not a hash."""
        return self.encoding == Encoding.RAW


class Audience(_Model):
    """A membership change in one audience."""

    audience_id: int
    audience_name: str
    action: MembershipAction
    audience_subscription_settings: Settings = Field(default_factory=dict)
    user_attributes: Any = None
    """A list of `{key, value or list_value, action: upsert or delete}`, read by core/firehose/attributes.py."""


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
    """Requests this integration's registration."""

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
    """Memberships changed. Without profiles, mParticle only checks the endpoint."""

    type: Literal["audience_membership_change_request"]
    account: Account
    user_profiles: Annotated[list[UserProfile], BeforeValidator(_list)] = Field(default_factory=list)
    unusable: Annotated[int, BeforeValidator(lambda _: 0)] = 0
    """The number of changes that could not be read and are left out. The sender can't set it."""


class SubjectIdentity(_Model):
    """An identity of the person to erase."""

    encoding: str
    value: str


class DsrProcessingRequest(_Message):
    """A request to erase a person (OpenDSR)."""

    type: Literal["dsr_processing_request"]
    account: Account
    subject_request_id: str | None = None
    subject_request_type: str | None = None
    subject_identities: Annotated[dict[str, SubjectIdentity], BeforeValidator(_settings)] = Field(default_factory=dict)


class EventProcessingRequest(_Message):
    """Events, which this integration ignores."""

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
    """Parse a message.

    Items of a membership change that can't be read are left out and counted in `unusable`: a profile of an unknown form
    or a new action must not block the other profiles in the message.

    Raises MalformedError, which names the first wrong field but no value.
    """
    if _NUL in body:
        body = body.replace(_NUL, _REPLACEMENT)
    try:
        request = _REQUEST.validate_json(body)
    except ValidationError as error:
        request = _without_unusable(body, error)
    if isinstance(request, AudienceMembershipChangeRequest):
        audiences = {audience.audience_id for profile in request.user_profiles for audience in profile.audiences}
        if len(audiences) > MAX_AUDIENCES:
            raise MalformedError("user_profiles", f"names more than {MAX_AUDIENCES} audiences.")
    return request


def _without_unusable(body: bytes, error: ValidationError) -> Request:
    """Parse a membership change without the items that `error` names. Raises MalformedError if more is wrong."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    malformed = MalformedError(_place(errors[0]), _message_of(errors[0]))
    if any(item["loc"][:2] != _PROFILES or len(item["loc"]) < 3 for item in errors):
        raise malformed from None
    message = orjson.loads(body)
    items = {_item_of(item["loc"][2:]) for item in errors}
    # each profile is left out once; leaving out an identity loses no change
    unusable = sum(not place or (place[0] == "audiences" and (profile,) not in items) for profile, *place in items)
    for profile, *place in sorted(items, reverse=True):  # in reverse, so that the other indexes stay valid
        if not place:
            del message["user_profiles"][profile]
        elif (profile,) not in items:
            del message["user_profiles"][profile][place[0]][place[1]]
    try:
        request = _REQUEST.validate_python(message)
    except ValidationError:
        raise malformed from None
    return request.model_copy(update={"unusable": unusable})


def _item_of(place: tuple[int | str, ...]) -> tuple[Any, ...]:
    """Return what to omit for an error in `user_profiles`: an audience or identity of a profile, or the profile."""
    profile, *inner = place
    if len(inner) >= 2 and inner[0] in ("audiences", "user_identities") and isinstance(inner[1], int):
        return profile, inner[0], inner[1]
    return (profile,)


def response(request: Request, **more: Any) -> dict[str, Any]:
    """Return the answer to a message: its id, the time, and the fields of that kind of answer."""
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
    # the first part is the kind of message; parts from the sender's keys are cut to a readable length
    parts = [str(part)[:80] for part in error["loc"][1:]]
    return ".".join(parts) or "message"


def _message_of(error: Any) -> str:
    if error["type"] == "union_tag_invalid":
        return "is not a kind of message that this endpoint accepts."
    if error["type"] == "union_tag_not_found":
        return "is missing."
    if error["type"] == "json_invalid":
        return "is not JSON."
    if error["type"] == "uuid_parsing":  # its message quotes the value
        return "input should be a valid UUID."
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}."
