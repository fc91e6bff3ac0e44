"""The stream delta."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from core.errors import InputError
from core.sources import Source, SourceFormat
from tests.core.sources.conftest import Reading
from tests.core.sources.factories import message


def test_describes_the_source(reading: Reading) -> None:
    """The messages of a stream have the audience."""
    source, profiles = reading(message(), "records")

    assert source == Source(
        shape=SourceFormat.STREAM,
        is_snapshot=False,
        audience_id="123123",
        audience_name="LowEngagement",
        file_name="records",
        rows=1,
        has_mpid=False,
        as_of=datetime(2020, 7, 8, 0, 16, 14, tzinfo=UTC),
        oldest=datetime(2020, 7, 8, 0, 16, 14, tzinfo=UTC),
    )
    assert profiles == {"customer:p.fogg138": (None, True, "phileas@example.com", "p.fogg138")}


@pytest.mark.parametrize("separator", ["", "\n", " "])
def test_messages_may_be_concatenated(reading: Reading, separator: str) -> None:
    """Messages may follow each other without a separator, as from Kinesis, even if a value looks like an end."""
    text = separator.join(message(f'}}{{"{n}') for n in range(3))
    source, profiles = reading(text, "records")

    assert (source.rows, set(profiles)) == (3, {f'customer:}}{{"{n}' for n in range(3)})


def test_messages_may_be_spread_over_lines(reading: Reading) -> None:
    """White space within an object is ignored."""
    text = message().replace(", ", ",\n  ") + message("other").replace(", ", ",\n  ")

    assert set(reading(text, "records")[1]) == {"customer:p.fogg138", "customer:other"}


@pytest.mark.parametrize("spelling", ["MPID", "Mpid", "mpid"])
def test_an_mpid_in_any_spelling(reading: Reading, spelling: str) -> None:
    """Each usual spelling of `mpid` is accepted, because mParticle's documentation shows none."""
    source, profiles = reading(message(identities={spelling: "-7"}), "records")

    assert source.has_mpid
    assert list(profiles) == ["-7"]


@pytest.mark.parametrize(
    ("older", "newer"), [(1594167374, "1594167375"), ("1594167374", 1594167374001), (1594167374, 1594167374)]
)
def test_the_latest_message_wins(reading: Reading, older: int | str, newer: int | str) -> None:
    """The latest message counts, with timestamps as numbers or text, in seconds or ms; the last of equals wins."""
    text = message(stamp=older) + message(email=None, member=False, stamp=newer)

    assert reading(text, "records")[1] == {"customer:p.fogg138": (None, False, None, "p.fogg138")}


@pytest.mark.parametrize("choice", ["2", "Second"])
def test_one_of_several_audiences_is_chosen(reading: Reading, choice: str) -> None:
    """Messages of other audiences are ignored."""
    text = (
        message("a", audience_id=1, audience_name="First", stamp=9_000_000_000)
        + message("b", audience_id=2, audience_name="Old name", stamp=1)
        + message("c", audience_id=2, audience_name="Second", stamp=2)
    )
    source, profiles = reading(text, "records", audience=choice)

    assert (source.audience_id, source.audience_name, source.rows) == ("2", "Second", 2)
    assert source.as_of == datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)
    assert set(profiles) == {"customer:b", "customer:c"}


def test_several_audiences_need_a_choice(refusal: Callable[..., InputError]) -> None:
    """The error lists at most ten audiences."""
    text = "".join(message(audience_id=n, audience_name=f"A{n}") for n in range(10, 22))
    error = refusal(text, "records")

    assert "A10 (10), A11 (11)" in error.message
    assert "A19 (19) and 2 more. Choose one of them." in error.message


def test_two_audiences_of_one_name(refusal: Callable[..., InputError]) -> None:
    """A name of two audiences is not a valid choice."""
    text = message(audience_id=1) + message(audience_id=2)

    assert "Their ids tell them apart" in refusal(text, "records", audience="LowEngagement").message


def test_broken_json_in_concatenated_messages(refusal: Callable[..., InputError]) -> None:
    """An error has the line and column of a text editor."""
    error = refusal(f"{message()}{message()}\n{message()}{{broken}}", "records")

    assert (error.line, error.column) == (2, len(message()) + 2)
