"""The same identities, as mParticle's messages bring them."""

import pytest

from core.firehose.member import member_from_profile
from core.firehose.schema import UserProfile
from tests.cases.identities import DECORATED, NULL_WORDS


def profile(mpid: object = None, **identities: list[str]) -> UserProfile:
    """A profile of a message, with raw identities."""
    listed = [
        {"type": kind, "encoding": "raw", "value": value} for kind, values in identities.items() for value in values
    ]
    return UserProfile.model_validate({"mpid": mpid, "user_identities": listed})


@pytest.mark.parametrize("word", NULL_WORDS)
def test_words_for_nothing_are_no_identities(word: str) -> None:
    """They hide none that was listed before."""
    member = member_from_profile(profile(email=["a@example.com", word], customer=["c1", word]), "x")

    assert (member.email, member.customer_id) == ("a@example.com", "c1")


@pytest.mark.parametrize("address", DECORATED)
def test_what_stands_around_an_address_is_no_part_of_it(address: str) -> None:
    """As in files."""
    assert member_from_profile(profile(email=[address]), "x").email == "ann@example.com"


@pytest.mark.parametrize("mpid", [0, "0", None])
def test_mpid_0_is_no_user(mpid: object) -> None:
    """Such members would all be one."""
    assert member_from_profile(profile(mpid, email=["A@example.com"]), "x").key == "email:a@example.com"
