"""Messages are read in every shape that mParticle may send, and what is malformed is named by its place."""

import uuid
from typing import Any

import jsonschema
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
    """Whatever mParticle's schemas permit is read: absent, null and unknown fields are all taken."""
    request = parse(orjson.dumps(message))
    assert (request.type, str(request.id)) == (message["type"], message["id"])
    assert request.firehose_version == message["firehose_version"].replace("\x00", "\ufffd")


@given(st.data())
def test_missing_field_is_named(data: st.DataObject) -> None:
    """A message without a field that it must have is refused, and the field is named."""
    message = data.draw(shapes.MEMBERSHIP | shapes.SUBSCRIPTION | shapes.ERASURE)
    field = data.draw(st.sampled_from(["id", "timestamp_ms", "firehose_version", "account"]))
    del message[field]
    with pytest.raises(MalformedError) as refused:
        parse(orjson.dumps(message))
    assert refused.value.field == field


@given(st.binary(max_size=50) | st.recursive(st.none() | st.text(), st.lists).map(orjson.dumps))
def test_anything_else_is_refused(body: bytes) -> None:
    """What is no message at all is refused, with a sentence."""
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
    """The place of what is wrong is named, down to the element of a list; what stands there is not repeated."""
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
            id="a null in an identity that nothing needs",
        ),
        pytest.param("a profile", 1, 1, id="no profile"),
        pytest.param(None, 1, 1, id="null"),
        pytest.param({"audiences": 5, "user_identities": [{}]}, 1, 1, id="wrong in two places"),
        pytest.param(
            {"audiences": [{}, GOOD["audiences"][0], {}], "user_identities": [{}, {}]}, 2, 2, id="several wrong items"
        ),
    ],
)
def test_one_bad_item_does_not_refuse_the_others(profile: object, kept: int, unusable: int) -> None:
    """Items that can't be read are left out and counted; every other change of the message is taken."""
    request = parse(orjson.dumps(message(user_profiles=[profile, GOOD], unusable=99)))
    assert isinstance(request, AudienceMembershipChangeRequest)
    assert (len(request.user_profiles), request.unusable) == (kept, unusable)
    assert request.user_profiles[-1] == UserProfile.model_validate(GOOD)


def test_audiences_of_a_message_are_limited() -> None:
    """A message that names very many audiences is refused: each new one would make a mapping."""
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
def test_mpid_that_is_none(mpid: object) -> None:
    """What is no signed 64-bit number tells nothing about a profile, whose other identities still count."""
    assert UserProfile.model_validate({"mpid": mpid}).mpid is None


def profile(*identities: tuple[str, str, str], mpid: str | None = "7") -> UserProfile:
    """A profile with these identities: type, encoding, value."""
    listed = [{"type": kind, "encoding": encoding, "value": value} for kind, encoding, value in identities]
    return UserProfile.model_validate({"mpid": mpid, "user_identities": listed})


def test_last_identity_of_a_kind_counts() -> None:
    """Of two addresses the last one listed counts, as in mParticle's own integration; a hash only where it is alone."""
    found = member_from_profile(
        profile(
            ("email", "raw", "a@example.com"),
            ("email", "raw", " B@example.com "),
            ("email", "md5", "0" * 32),
            ("customer", "sha256", "0" * 64),
            ("mobile_number", "raw", "5"),
        ),
        "nobody",
    )
    assert (found.key, found.mpid, found.email, found.customer_id) == ("7", 7, "B@example.com", None)
    assert found.hashed == CUSTOMER_ID_HASHED
    assert member_from_profile(profile(("email", "md5", "0" * 32)), "nobody").hashed == EMAIL_HASHED


def test_member_without_an_mpid() -> None:
    """Without an mpid a member is known as one from a file is; with no identity at all by its place in the message."""
    both = [("email", "raw", " P@Example.com"), ("customer", "raw", "c1")]
    assert member_from_profile(profile(*both, mpid=None), "nobody").key == "customer:c1"
    assert member_from_profile(profile(both[0], mpid=None), "nobody").key == "email:p@example.com"
    assert member_from_profile(profile(("customer", "raw", "  "), mpid=None), "nobody").key == "nobody"


def test_registration() -> None:
    """The description of the integration is as mParticle demands it, with the hosted integration's settings."""
    request = parse(orjson.dumps({**message(), "type": "module_registration_request"}))
    answer = response(request, **registration())
    jsonschema.validate(answer, shapes.ANSWERS["module_registration_request"])
    part = answer["audience_processing_registration"]
    (key, user_id), (list_id,) = part["account_settings"], part["audience_subscription_settings"]
    assert (key["id"], key["required"], key["confidential"]) == ("apiKey", True, True)
    assert (user_id["id"], user_id["default_value"]) == ("userIdField", "customerId")
    assert list_id["id"] == "listId"
