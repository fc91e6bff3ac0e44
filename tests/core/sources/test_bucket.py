"""The bucket delta."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from core.errors import InputError
from core.sources import Source, SourceFormat
from tests.core.sources.conftest import Reading
from tests.core.sources.factories import change

NAME = "Low-Engagement_1234_2020-07-08_00-16-14_5bd6c1e4-7b52-4e42-8e1e-1f2b2c3d4e5f.txt"


def test_describes_the_source(reading: Reading) -> None:
    """A file of changes is a delta, and its name has the audience."""
    source, profiles = reading(change(1, customer_id="some_id"), NAME)

    assert source == Source(
        shape=SourceFormat.BUCKET,
        is_snapshot=False,
        audience_id="1234",
        audience_name="Low-Engagement",
        file_name=NAME,
        rows=1,
        has_mpid=True,
        as_of=datetime(2020, 7, 8, 0, 16, 14, 230000, UTC),
        oldest=datetime(2020, 7, 8, 0, 16, 14, 230000, UTC),
    )
    assert profiles == {"1": (1, True, None, "some_id")}


def test_the_latest_change_wins_with_its_identities(reading: Reading) -> None:
    """The latest change of a profile counts, without identities of older ones."""
    lines = [
        change(1, add=False, stamp=1594167374231, customer_id="c"),
        change(1, add=True, stamp=1594167374230, email="a@example.com"),
    ]
    _, profiles = reading("\n".join(lines), NAME)

    assert profiles == {"1": (1, False, None, "c")}


def test_among_equals_the_last_listed_wins(reading: Reading) -> None:
    """Of changes with the same timestamp, the last line counts."""
    lines = [change(1, add=n % 2 == 0, email=f"{n}@example.com") for n in range(20)]
    _, profiles = reading("\n".join(lines), NAME)

    assert profiles == {"1": (1, False, "19@example.com", None)}


def test_a_profile_without_mpid_has_another_key(reading: Reading) -> None:
    """The key of a profile without an mpid is its customer id, its email, or else its row."""
    lines = [
        change(None, customer_id="C1", email="a@example.com"),
        change(None, email=" B@Example.com\u00a0"),
        change(None, email="b@example.com", stamp=1),
        change(None),
        change(-5),
    ]
    _, profiles = reading("\n".join(lines), NAME)

    assert profiles == {
        "customer:C1": (None, True, "a@example.com", "C1"),
        "email:b@example.com": (None, True, "B@Example.com", None),
        "row:4": (None, True, None, None),
        "-5": (-5, True, None, None),
    }


@pytest.mark.parametrize("separator", ["", " ", "\n", "\r\n", "\n\n", "\n\t"])
def test_separators_of_objects(reading: Reading, separator: str) -> None:
    """Objects may be on separate lines, or directly follow each other."""
    source, profiles = reading(separator.join(change(n) for n in range(1, 4)), NAME)

    assert (source.rows, set(profiles)) == (3, {"1", "2", "3"})


def test_a_name_without_an_audience(reading: Reading) -> None:
    """A file whose name has no audience has an unknown audience."""
    source, _ = reading(change(), "delta.json")

    assert (source.audience_id, source.audience_name) == (None, None)


def test_mparticles_validation_file(refusal: Callable[..., InputError]) -> None:
    """mParticle's empty validation file is recognized."""
    error = refusal("", "mparticle-validation-1594167374.txt")

    assert "is the empty file with which mParticle tests a bucket: it contains nothing to sync" in error.message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (change(1.5), "the mpid is not a whole number"),  # type: ignore[arg-type]
        (change(2**63), "the mpid is not a whole number"),
        (change(1, add=None), "doesn't say whether the profile joined or left"),
        (change(1, stamp="yesterday"), "the time stamp can't be read"),
        (change(1, email="a\0@example.com"), "NUL"),
        ('{"IsAddRequest": {}}', "a value has the wrong type"),
        ('{"IsAddRequest": true, "IdentityValues": ["a@example.com"]}', "a value has the wrong type"),
        ('{"IsAddRequest": tru}', "the JSON is broken"),
        ("[1]", "a value has the wrong type"),
        ("null", "the JSON is broken"),
        (change()[:-1], "the JSON is broken"),
    ],
)
def test_bad_lines(refusal: Callable[..., InputError], line: str, message: str) -> None:
    """The error for a bad line has its number, counting blank lines."""
    error = refusal(f"{change()}\n\n{change()}\n{line}\n{change()}", NAME)

    assert message in error.message
    assert error.line == (5 if line == change()[:-1] else 4)


@pytest.mark.parametrize("letters", range(4))
def test_a_value_that_duckdb_cuts_off(refusal: Callable[..., InputError], letters: int) -> None:
    """The error is the same if DuckDB's message cuts off a value inside a letter."""
    line = '{"IsAddRequest": ["' + "x" * letters + "é" * 60 + '"], "MembershipChangedTimestamp": 1}'

    assert str(refusal(line, NAME)) == f"{NAME}, line 1: a value has the wrong type."
