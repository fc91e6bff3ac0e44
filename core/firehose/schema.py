"""The messages of mParticle's Firehose: requests as models, responses as JSON.

mParticle's SDK writes what it does not know as null, and its newer versions know more than these do: absent, null and
unknown are all taken. What is refused is named by its place in the message.
"""

import time
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, TypeAdapter, ValidationError

from core.errors import InputError

#: Audiences that one message may name. mParticle sends a message per subscription; each audience that is new makes a
#: mapping, and a stranger with the token must not make thousands by one message.
MAX_AUDIENCES = 200

_INT64 = 2**63
_PROFILES = ("audience_membership_change_request", "user_profiles")
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
    """The mpid, a signed 64-bit integer in a string; what is none tells nothing about the profile.

    To mParticle's SDKs, 0 means that there is no user yet.
    """
    if isinstance(value, bool | float):
        return None
    try:
        found = int(value)
    except (TypeError, ValueError):
        return None
    return found if found and -_INT64 <= found < _INT64 else None


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
    unusable: Annotated[int, BeforeValidator(lambda _: 0)] = 0
    """How many changes of the message could not be read and are left out. The sender can't set it."""


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
    """Read a message.

    A membership change with some items that can't be read is taken without them, and counts them in `unusable`: a
    profile of an unknown form or an action that a newer mParticle knows must not hold up everybody else in the message.

    Raises MalformedError, which names the first field that is wrong and no value.
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
    """Read a membership change without the items that `error` names. Raises MalformedError if more is wrong."""
    wrong = error.errors(include_url=False, include_context=False, include_input=False)
    malformed = MalformedError(_place(wrong[0]), _what(wrong[0]))
    if any(each["loc"][:2] != _PROFILES or len(each["loc"]) < 3 for each in wrong):
        raise malformed from None
    message = orjson.loads(body)
    items = {_item_of(each["loc"][2:]) for each in wrong}
    # a profile is left out once; an identity that can't be read costs no change
    unusable = sum(not place or (place[0] == "audiences" and (profile,) not in items) for profile, *place in items)
    for profile, *place in sorted(items, reverse=True):  # the last first, so that the places of the others stay
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
    """What is left out for an error within `user_profiles`: an audience or an identity of a profile, or the profile."""
    profile, *inner = place
    if len(inner) >= 2 and inner[0] in ("audiences", "user_identities") and isinstance(inner[1], int):
        return profile, inner[0], inner[1]
    return (profile,)


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
