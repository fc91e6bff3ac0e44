"""The identity rule, by examples and by properties: which subscriber a member becomes, or the reason for none."""

# Annotations stay text: hypothesis keeps the tests until the very end, when DuckDB reports types in use as leaks.
from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.identity import (
    MAX_EMAIL_LENGTH,
    PLAIN_EMAIL_MAX_LENGTH,
    PLAIN_EMAIL_PATTERN,
    USER_ID_PATTERN,
    Profile,
    ProjectType,
    RejectionReason,
    Subscriber,
    UserIdField,
    is_valid_email,
    is_valid_user_id,
    normalize_email,
    placeholder_email,
    resolve_for_removal,
    resolve_plain,
    resolve_subscriber,
)
from core.planning.identity_mapping import map_members
from tests.examples import examples

CUSTOMER_ID, MPID = UserIdField.CUSTOMER_ID, UserIdField.MPID

#: Any text that a database can hold.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)
#: Text made of parts of addresses, so that tests hit the edge cases.
NEARLY_AN_ADDRESS = st.lists(
    st.sampled_from(
        ["a", "Z", "0", ".", "..", "@", "-", "_", "+", "'", " ", "\t", "\n", "\u00a0", "ß", "İ", "example.com"]
    ),
    max_size=12,
).map("".join)
PLAIN_EMAIL = st.from_regex(PLAIN_EMAIL_PATTERN, fullmatch=True)
USER_ID = st.from_regex(USER_ID_PATTERN, fullmatch=True)
EMAILS = st.none() | TEXT | NEARLY_AN_ADDRESS | PLAIN_EMAIL
USER_IDS = st.none() | TEXT | USER_ID | st.text(" ~a", max_size=60)
MPIDS = st.none() | st.integers(-(2**63), 2**63 - 1)
PROFILES = st.builds(
    Profile,
    mpid=MPIDS,
    email=EMAILS,
    customer_id=USER_IDS,
    email_is_hashed=st.booleans(),
    customer_id_is_hashed=st.booleans(),
)
FIELDS = st.sampled_from(UserIdField)


@pytest.mark.parametrize(
    ("profile", "by_customer_id", "by_mpid"),
    [
        pytest.param(
            Profile(7, "a@example.com", "c7"),
            Subscriber("a@example.com", "c7"),
            Subscriber("a@example.com", "7"),
            id="email and customer id",
        ),
        pytest.param(
            Profile(7, "a@example.com"),
            Subscriber("a@example.com", None),
            Subscriber("a@example.com", "7"),
            id="email only",
        ),
        pytest.param(
            Profile(7, None, "c7"),
            RejectionReason.NO_EMAIL,
            Subscriber("7@placeholder.email", "7"),
            id="customer id only",
        ),
        pytest.param(Profile(-7), RejectionReason.NO_EMAIL, Subscriber("-7@placeholder.email", "-7"), id="mpid only"),
        pytest.param(
            Profile(7, " \t", "  "),
            RejectionReason.NO_EMAIL,
            Subscriber("7@placeholder.email", "7"),
            id="only white space",
        ),
        pytest.param(
            Profile(None, "a@example.com"),
            Subscriber("a@example.com", None),
            Subscriber("a@example.com", None),
            id="email without an mpid",
        ),
        pytest.param(
            Profile(None, None, "c7"),
            RejectionReason.NO_EMAIL,
            RejectionReason.NO_IDENTITY,
            id="customer id without an mpid",
        ),
        pytest.param(
            Profile(7, "  A@Example.COM\n", " C 7"),
            Subscriber("a@example.com", " C 7"),
            Subscriber("a@example.com", "7"),
            id="normalized email, unchanged user id",
        ),
        pytest.param(
            Profile(7, "a@b@example.com", "c7"),
            RejectionReason.INVALID_EMAIL,
            RejectionReason.INVALID_EMAIL,
            id="two at signs",
        ),
        pytest.param(
            Profile(7, "a@example.com", "c" * 53),
            RejectionReason.INVALID_USER_ID,
            Subscriber("a@example.com", "7"),
            id="customer id too long",
        ),
        pytest.param(
            Profile(7, None, "c7", email_is_hashed=True),
            RejectionReason.HASHED_IDENTITY,
            RejectionReason.HASHED_IDENTITY,
            id="hashed email only",
        ),
        pytest.param(
            Profile(7, "a@example.com", "c7", email_is_hashed=True),
            Subscriber("a@example.com", "c7"),
            Subscriber("a@example.com", "7"),
            id="email and hashed email",
        ),
        pytest.param(
            Profile(7, "a@example.com", None, customer_id_is_hashed=True),
            Subscriber("a@example.com", None),
            Subscriber("a@example.com", "7"),
            id="hashed customer id only",
        ),
    ],
)
def test_table(
    profile: Profile, by_customer_id: Subscriber | RejectionReason, by_mpid: Subscriber | RejectionReason
) -> None:
    """Each kind of profile maps to the expected subscriber or rejection, by both User ID settings."""
    assert (resolve_subscriber(profile, CUSTOMER_ID), resolve_subscriber(profile, MPID)) == (by_customer_id, by_mpid)


@pytest.mark.parametrize(
    ("profile", "by_customer_id", "by_mpid"),
    [
        pytest.param(
            Profile(7, "a@example.com", "c7"),
            Subscriber("a@example.com", "c7"),
            Subscriber("a@example.com", "7"),
            id="email and customer id",
        ),
        pytest.param(Profile(7, None, "c7"), Subscriber(None, "c7"), Subscriber(None, "7"), id="customer id only"),
        pytest.param(Profile(7, "broken", "c7"), Subscriber(None, "c7"), Subscriber(None, "7"), id="invalid email"),
        pytest.param(
            Profile(7, "a@example.com", "é"),
            Subscriber("a@example.com", None),
            Subscriber("a@example.com", "7"),
            id="invalid customer id",
        ),
        pytest.param(Profile(7), RejectionReason.NO_IDENTITY, Subscriber(None, "7"), id="mpid only"),
        pytest.param(Profile(), RejectionReason.NO_IDENTITY, RejectionReason.NO_IDENTITY, id="nothing"),
        pytest.param(
            Profile(None, email_is_hashed=True),
            RejectionReason.HASHED_IDENTITY,
            RejectionReason.HASHED_IDENTITY,
            id="hashed email",
        ),
        pytest.param(
            Profile(None, customer_id_is_hashed=True),
            RejectionReason.HASHED_IDENTITY,
            RejectionReason.HASHED_IDENTITY,
            id="hashed customer id",
        ),
    ],
)
def test_removals(
    profile: Profile, by_customer_id: Subscriber | RejectionReason, by_mpid: Subscriber | RejectionReason
) -> None:
    """A leaver is removed under every identity that it has, by both User ID settings."""
    assert (resolve_for_removal(profile, CUSTOMER_ID), resolve_for_removal(profile, MPID)) == (by_customer_id, by_mpid)


@pytest.mark.parametrize(
    "email",
    [
        "a@example.com",
        "a.b+c_d-e@sub.example.com",
        "o'neil@example.com",
        "ünal@exämple.com",
        '"quoted"@example.com',
        "a@example.c",
        "a@.com",
        "-@-.-",
        f"{'a' * (MAX_EMAIL_LENGTH - 12)}@example.com",
    ],
)
def test_possible_addresses(email: str) -> None:
    """A text that may be an address is valid; Iterable decides."""
    assert is_valid_email(email)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "@",
        "a@",
        "@example.com",
        "a@example",
        "a@@example.com",
        "a@b@example.com",
        "a b@example.com",
        "a@exa mple.com",
        "a\u00a0b@example.com",
        "a\u2003b@example.com",
        "a\x00b@example.com",
        "a\x7fb@example.com",
        "a\ud800b@example.com",
        f"{'a' * (MAX_EMAIL_LENGTH - 11)}@example.com",
    ],
)
def test_impossible_addresses(email: str) -> None:
    """A text that can't be an address is invalid, before it costs a request."""
    assert not is_valid_email(email)


@pytest.mark.parametrize("user_id", ["a", "0", "~", "!", " a", "a b", "C7", "x" * 52])
def test_user_ids(user_id: str) -> None:
    """A user id is 1 to 52 printable ASCII characters without a trailing space."""
    assert is_valid_user_id(user_id)


@pytest.mark.parametrize("user_id", ["", " ", "a ", "x" * 53, "é", "a\tb", "a\n", "\x7f", "a\x00"])
def test_malformed_user_ids(user_id: str) -> None:
    """A text that Iterable calls malformed is not a user id."""
    assert not is_valid_user_id(user_id)


@pytest.mark.parametrize("mpid", [0, 7, -7, 2**63 - 1, -(2**63)])
def test_placeholder_is_a_normalized_address(mpid: int) -> None:
    """The placeholder of any mpid is a normalized address, with the mpid as its user id."""
    address = placeholder_email(mpid)
    assert address == normalize_email(address) == f"{mpid}@placeholder.email"
    assert is_valid_email(address)
    assert is_valid_user_id(str(mpid))
    assert resolve_subscriber(Profile(mpid), MPID) == Subscriber(address, str(mpid))


@given(PROFILES, FIELDS)
def test_member_is_a_subscriber_or_a_rejection(profile: Profile, field: UserIdField) -> None:
    """Every member becomes a subscriber with a valid address, or a rejection."""
    mapped = resolve_subscriber(profile, field)
    if isinstance(mapped, Subscriber):
        assert mapped.email is not None
        assert is_valid_email(mapped.email)
        assert mapped.user_id is None or is_valid_user_id(mapped.user_id)
    else:
        assert mapped in RejectionReason


@given(PROFILES, FIELDS)
def test_leaver_with_an_identity_is_never_dropped(profile: Profile, field: UserIdField) -> None:
    """A removal is rejected only if there is neither an address nor a user id."""
    mapped = resolve_for_removal(profile, field)
    email, user_id = normalize_email(profile.email), profile.customer_id if field is CUSTOMER_ID else profile.mpid
    has_email = email is not None and is_valid_email(email)
    has_user_id = user_id is not None and is_valid_user_id(str(user_id))
    assert isinstance(mapped, Subscriber) is (has_email or has_user_id)
    if isinstance(mapped, Subscriber):
        assert mapped == Subscriber(email if has_email else None, str(user_id) if has_user_id else None)


@given(PROFILES, FIELDS)
def test_whoever_can_be_added_can_be_removed(profile: Profile, field: UserIdField) -> None:
    """A member that was added under its own address is removed under the same subscriber."""
    mapped = resolve_subscriber(profile, field)
    if isinstance(mapped, Subscriber) and normalize_email(profile.email):
        assert resolve_for_removal(profile, field) == mapped


@given(EMAILS)
@example("İ@example.com")
@example("ΑΣ@example.com")
def test_normalization_is_idempotent(email: str | None) -> None:
    """Normalizing a normalized email changes nothing."""
    once = normalize_email(email)
    assert normalize_email(once) == once


@given(USER_ID)
def test_customer_ids_are_unchanged(user_id: str) -> None:
    """A customer id is sent unchanged, including leading spaces and case."""
    assert resolve_subscriber(Profile(7, "a@example.com", user_id), CUSTOMER_ID) == Subscriber("a@example.com", user_id)


@given(PLAIN_EMAIL, USER_IDS, MPIDS, FIELDS)
def test_plain_members_need_no_mapping(
    email: str, customer_id: str | None, mpid: int | None, field: UserIdField
) -> None:
    """The address of a member who matches planning's patterns only needs trimming and lower case."""
    user_id = customer_id if field is CUSTOMER_ID else None if mpid is None else str(mpid)
    if len(email) <= PLAIN_EMAIL_MAX_LENGTH and (user_id is None or re.fullmatch(USER_ID_PATTERN, user_id)):
        assert resolve_subscriber(Profile(mpid, email, customer_id), field) == Subscriber(
            email.strip().lower(), user_id
        )


@given(PROFILES, FIELDS, st.sampled_from(ProjectType))
def test_plain_members_are_mapped_as_all_others(
    profile: Profile, field: UserIdField, project_type: ProjectType
) -> None:
    """The short way for plain members finds the subscriber that the whole rule finds, or none."""
    user_id = profile.customer_id if field is CUSTOMER_ID else None if profile.mpid is None else str(profile.mpid)
    subscriber = resolve_plain(profile.email, user_id, project_type)
    if subscriber is not None:
        assert resolve_subscriber(profile, field, project_type) == subscriber
        assert resolve_for_removal(profile, field, project_type) == subscriber


@given(PLAIN_EMAIL, st.none() | USER_ID, st.sampled_from(ProjectType))
def test_plain_members_take_the_short_way(email: str, user_id: str | None, project_type: ProjectType) -> None:
    """Only a long address, or a userID-based project without the user id, needs the whole rule."""
    is_plain = len(email) <= PLAIN_EMAIL_MAX_LENGTH and (user_id is not None or project_type is not ProjectType.USER_ID)
    assert (resolve_plain(email, user_id, project_type) is not None) is is_plain


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """One database for all examples: opening one takes longer than an example."""
    with duckdb.connect() as database:
        yield database


@given(st.lists(TEXT | NEARLY_AN_ADDRESS | PLAIN_EMAIL | USER_ID, max_size=30))
@example(["a@example.com\n", "a\n", "\n", "a@example.com ", "", " ", "K@example.com", "ſ@example.com"])
def test_database_reads_the_patterns_as_python_does(con: duckdb.DuckDBPyConnection, texts: list[str]) -> None:
    """DuckDB's regular expressions match the same texts as Python's."""
    for pattern in (PLAIN_EMAIL_PATTERN, USER_ID_PATTERN):
        query = "SELECT regexp_full_match(text, $2) FROM (SELECT unnest($1::VARCHAR[]) AS text)"
        matched = [matches for (matches,) in con.execute(query, [texts, pattern]).fetchall()]
        assert matched == [re.fullmatch(pattern, text) is not None for text in texts]


@given(st.lists(st.tuples(MPIDS, EMAILS, USER_IDS, st.booleans()), max_size=20), FIELDS)
@example([(7, "a@example.com", "   ", True), (8, "b@example.com", "", True)], CUSTOMER_ID)
@settings(max_examples=examples(60))
def test_planning_maps_like_the_rule(
    rows: list[tuple[int | None, str | None, str | None, bool]], field: UserIdField
) -> None:
    """Mapping a whole source in the database gives the same result as the rule for each profile."""
    profiles = {f"p{n}": Profile(mpid, email, customer) for n, (mpid, email, customer, _) in enumerate(rows)}
    members = {f"p{n}": row[3] for n, row in enumerate(rows)}
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE source (profile VARCHAR, mpid BIGINT, member BOOLEAN, email VARCHAR, customer_id VARCHAR)"
        )
        for key, profile in profiles.items():
            # as reading stores them: blank is NULL
            values = [text if text and text.strip() else None for text in (profile.email, profile.customer_id)]
            con.execute("INSERT INTO source VALUES ($1, $2, $3, $4, $5)", [key, profile.mpid, members[key], *values])
        map_members(con, field, with_removals=True)
        desired = con.execute("SELECT member_key, email, user_id FROM desired").fetchall()
        refused = con.execute("SELECT member_key, reason FROM rejected").fetchall()
        removals = con.execute("SELECT member_key, email, user_id, reason FROM leavers").fetchall()
    joined = {key: resolve_subscriber(profile, field) for key, profile in profiles.items() if members[key]}
    left = {key: resolve_for_removal(profile, field) for key, profile in profiles.items() if not members[key]}
    assert {key: Subscriber(*subscriber) for key, *subscriber in desired} | {
        key: RejectionReason(reason) for key, reason in refused
    } == joined
    assert len(desired) + len(refused) == len(joined)
    assert {
        key: RejectionReason(reason) if reason else Subscriber(*subscriber) for key, *subscriber, reason in removals
    } == left
