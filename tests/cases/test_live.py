"""The same identities in mParticle's messages."""

import pytest

from core.firehose.member import member_from_profile
from core.firehose.schema import UserProfile
from tests.cases.identities import DECORATED, NULL_WORDS


def profile(mpid: object = None, **identities: list[str]) -> UserProfile:
    """A profile of a message, with raw identities."""
    listed_identities = [
        {"type": kind, "encoding": "raw", "value": value} for kind, values in identities.items() for value in values
    ]
    return UserProfile.model_validate({"mpid": mpid, "user_identities": listed_identities})


@pytest.mark.parametrize("word", NULL_WORDS)
def test_null_words_are_not_identities(word: str) -> None:
    """A null word does not replace an identity that is listed before it."""
    member = member_from_profile(profile(email=["a@example.com", word], customer=["c1", word]), "x")

    assert (member.email, member.customer_id) == ("a@example.com", "c1")


@pytest.mark.parametrize("address", DECORATED)
def test_decorations_of_an_address_in_a_message(address: str) -> None:
    """Decorations are removed from an address in a message, as in a file."""
    assert member_from_profile(profile(email=[address]), "x").email == "ann@example.com"


@pytest.mark.parametrize("mpid", [0, "0", None])
def test_mpid_0_is_not_a_user(mpid: object) -> None:
    """Mpid 0 counts as no mpid, so that such members stay separate."""
    assert member_from_profile(profile(mpid, email=["A@example.com"]), "x").key == "email:a@example.com"
