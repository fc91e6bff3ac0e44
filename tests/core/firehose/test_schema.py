"""Messages of every shape from mParticle are read, and an error names the place of what is malformed."""

import uuid
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.firehose.member import member_from_profile
from core.firehose.module_registration import registration
from core.firehose.schema import (
    MAX_AUDIENCES,
    AudienceMembershipChangeRequest,
    MalformedError,
    UserProfile,
    parse,
    response,
)
from core.store.inbox import CUSTOMER_ID_HASHED, EMAIL_HASHED
from tests.core.firehose import shapes


@given(shapes.ANY)
def test_every_shape_is_read(message: dict[str, Any]) -> None:
    """Every message that mParticle's schemas allow is read, with absent, null and unknown fields."""
    request = parse(orjson.dumps(message))
    assert (request.type, str(request.id)) == (message["type"], message["id"])
    assert request.firehose_version == message["firehose_version"].replace("\x00", "\ufffd")


@given(st.data())
def test_missing_field_is_named(data: st.DataObject) -> None:
    """A message without a required field is refused, and the error names the field."""
    message = data.draw(shapes.MEMBERSHIP | shapes.SUBSCRIPTION | shapes.ERASURE)
    field = data.draw(st.sampled_from(["id", "timestamp_ms", "firehose_version", "account"]))
    del message[field]
    with pytest.raises(MalformedError) as refused:
        parse(orjson.dumps(message))
    assert refused.value.field == field


@given(st.binary(max_size=50) | st.recursive(st.none() | st.text(), st.lists).map(orjson.dumps))
def test_anything_else_is_refused(body: bytes) -> None:
    """A body that is not a message is refused with a clear error."""
    with pytest.raises(MalformedError) as refused:
        parse(body)
    assert refused.value.field in ("message", "type")


def message(**changed: Any) -> dict[str, Any]:
    """A message about one profile."""
    audience = {"audience_id": 1, "audience_name": "VIPs", "action": "add"}
    identity = {"type": "email", "encoding": "raw", "value": "secret@example.com"}
    return {
        "type": "audience_membership_change_request",
        "id": str(uuid.uuid4()),
        "timestamp_ms": 1,
        "firehose_version": "2",
        "account": {"account_id": 1},
        "user_profiles": [{"mpid": "-5", "user_identities": [identity], "audiences": [audience]}],
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": "secret@example.com"}, "id"),
        ({"timestamp_ms": "secret@example.com"}, "timestamp_ms"),
        ({"type": "secret@example.com"}, "type"),
        ({"account": None}, "account"),
        ({"account": {"account_id": "secret@example.com"}}, "account.account_id"),
        ({"user_profiles": {"secret": 1}}, "user_profiles"),
    ],
)
def test_place_is_named_and_no_value(changed: dict[str, Any], field: str) -> None:
    """An error names the place, down to the element of a list, and not the value."""
    with pytest.raises(MalformedError) as refused:
        parse(orjson.dumps(message(**changed)))
    assert refused.value.field == field
    assert "secret" not in refused.value.message.removeprefix(field)


GOOD: dict[str, Any] = {
    "user_identities": [{"type": "email", "encoding": "raw", "value": "p@example.com"}],
    "audiences": [{"audience_id": 1, "audience_name": "VIPs", "action": "add"}],
}


@pytest.mark.parametrize(
    ("profile", "kept", "unusable"),
    [
        pytest.param({"audiences": [{"audience_id": 1}]}, 2, 1, id="an audience without a name"),
        pytest.param(
            {"audiences": [{"audience_id": 1, "audience_name": "", "action": "archived"}]}, 2, 1, id="a new action"
        ),
        pytest.param(
            {"user_identities": [{"type": "ios_idfv", "encoding": "raw", "value": None}], "audiences": []},
            2,
            0,
            id="a null in an unused identity",
        ),
        pytest.param("a profile", 1, 1, id="no profile"),
        pytest.param(None, 1, 1, id="null"),
        pytest.param({"audiences": 5, "user_identities": [{}]}, 1, 1, id="wrong in two places"),
        pytest.param(
            {"audiences": [{}, GOOD["audiences"][0], {}], "user_identities": [{}, {}]}, 2, 2, id="several wrong items"
        ),
    ],
)
def test_bad_item_is_counted_and_skipped(profile: object, kept: int, unusable: int) -> None:
    """Items that can't be read are skipped and counted; all other changes of the message are accepted."""
    request = parse(orjson.dumps(message(user_profiles=[profile, GOOD], unusable=99)))
    assert isinstance(request, AudienceMembershipChangeRequest)
    assert (len(request.user_profiles), request.unusable) == (kept, unusable)
    assert request.user_profiles[-1] == UserProfile.model_validate(GOOD)


def test_audiences_of_a_message_are_limited() -> None:
    """A message with too many audiences is refused, because each new one would create a mapping."""
    audiences = [{"audience_id": n, "audience_name": "", "action": "add"} for n in range(MAX_AUDIENCES + 1)]
    with pytest.raises(MalformedError) as refused:
        parse(orjson.dumps(message(user_profiles=[{"audiences": audiences}])))
    assert refused.value.field == "user_profiles"


def test_negative_mpid() -> None:
    """An mpid is a signed number in a string."""
    request = parse(orjson.dumps(message()))
    assert isinstance(request, AudienceMembershipChangeRequest)
    assert request.user_profiles[0].mpid == -5


@pytest.mark.parametrize("mpid", ["", "abc", str(2**63), "1.5", 1.5, True, None])
def test_invalid_mpid(mpid: object) -> None:
    """An invalid mpid counts as missing, and the other identities of the profile still count."""
    assert UserProfile.model_validate({"mpid": mpid}).mpid is None


def profile(*identities: tuple[str, str, str], mpid: str | None = "7") -> UserProfile:
    """A profile with these identities: type, encoding, value."""
    listed_identities = [{"type": kind, "encoding": encoding, "value": value} for kind, encoding, value in identities]
    return UserProfile.model_validate({"mpid": mpid, "user_identities": listed_identities})


def test_last_identity_of_a_kind_counts() -> None:
    """The last address in the list counts, as in mParticle's own integration; a hash counts only if it is alone."""
    member = member_from_profile(
        profile(
            ("email", "raw", "a@example.com"),
            ("email", "raw", " B@example.com "),
            ("email", "md5", "0" * 32),
            ("customer", "sha256", "0" * 64),
            ("mobile_number", "raw", "5"),
        ),
        "place-0",
    )
    assert (member.key, member.mpid, member.email, member.customer_id) == ("7", 7, "B@example.com", None)
    assert member.hashed == CUSTOMER_ID_HASHED
    assert member_from_profile(profile(("email", "md5", "0" * 32)), "place-0").hashed == EMAIL_HASHED


def test_member_without_an_mpid() -> None:
    """A member without an mpid has the key of its other identities, as in a file, or of its place in the message."""
    both = [("email", "raw", " P@Example.com"), ("customer", "raw", "c1")]
    assert member_from_profile(profile(*both, mpid=None), "place-0").key == "customer:c1"
    assert member_from_profile(profile(both[0], mpid=None), "place-0").key == "email:p@example.com"
    assert member_from_profile(profile(("customer", "raw", "  "), mpid=None), "place-0").key == "place-0"


def test_registration() -> None:
    """The description of the integration matches mParticle's schema, with the hosted integration's settings."""
    request = parse(orjson.dumps({**message(), "type": "module_registration_request"}))
    answer = response(request, **registration("sync.example.com"))
    jsonschema_rs.validate(shapes.ANSWERS["module_registration_request"], answer)
    part = answer["audience_processing_registration"]
    (key, user_id), (list_id,) = part["account_settings"], part["audience_subscription_settings"]
    assert (key["id"], key["required"], key["confidential"]) == ("apiKey", True, True)
    assert (user_id["id"], user_id["default_value"]) == ("userIdField", "customerId")
    assert list_id["id"] == "listId"
