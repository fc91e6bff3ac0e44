"""The audience download as a bare CSV."""

from datetime import UTC, datetime

import pytest

from core.sources import Source, SourceFormat
from tests.core.sources.conftest import Reading
from tests.core.sources.factories import CSV_NAME, HEADER, HYDE, JEKYLL, UTTERSON, download_csv


def test_describes_the_source(reading: Reading) -> None:
    """Format, audience, rows and time come from the rows and the file name."""
    source, _ = reading(download_csv(), CSV_NAME)

    assert source == Source(
        shape=SourceFormat.DOWNLOAD,
        is_snapshot=True,
        audience_id="8754",
        audience_name="PotentialParisians",
        file_name=CSV_NAME,
        rows=3,
        has_mpid=True,
        as_of=datetime(2020, 1, 27, 18, 7, 18, 137000, UTC),
        oldest=datetime(2018, 10, 3, 19, 58, 49, tzinfo=UTC),
    )


def test_gives_a_row_per_profile(reading: Reading) -> None:
    """A download has one profile per mpid, even for one with only a device identity."""
    _, profiles = reading(download_csv([HYDE, JEKYLL, UTTERSON, (*HYDE[:2], "mhyde", "customer_id")]))

    assert profiles == {
        str(HYDE[0]): (HYDE[0], True, "m.hyde@example.com", "mhyde"),
        str(JEKYLL[0]): (JEKYLL[0], True, None, "h.jekyll.md"),
        str(UTTERSON[0]): (UTTERSON[0], True, None, None),
    }


@pytest.mark.parametrize("separator", [", ", ","])
def test_spaces_after_commas_are_not_part_of_a_value(reading: Reading, separator: str) -> None:
    """Spaces after commas are ignored."""
    _, profiles = reading(download_csv([(1, 5, "m.hyde@example.com", "email")], separator))

    assert profiles == {"1": (1, True, "m.hyde@example.com", None)}


@pytest.mark.parametrize(
    "text",
    [
        "mpid,scanned_timestamp_ms,identity_value,identity_type\n1, 5, a@example.com, email\n",
        f"{HEADER}\n1,5,a@example.com,email\n",
        f"\n\n{HEADER}\n\n1, 5, a@example.com, email\n\n",
        f"\ufeff{HEADER}\n1, 5, a@example.com, email",
        f"{HEADER}\r\n1, 5, a@example.com, email\r\n",
        '"mpid", "scanned_timestamp_ms", "identity_value", "identity_type"\n"1", "5", "a@example.com", "email"\n',
        "identity_type, identity_value, mpid\nemail, a@example.com, 1\n",
        f"{HEADER}, note\n1, 5, a@example.com, EMAIL, x\n",
    ],
    ids=["spaced rows", "spaced header", "blank lines", "bom", "crlf", "quoted", "other order", "more columns"],
)
def test_equivalent_layouts(reading: Reading, text: str) -> None:
    """A layout with the same meaning gives the same result."""
    _, profiles = reading(text)

    assert profiles == {"1": (1, True, "a@example.com", None)}


def test_quoting_is_undone(reading: Reading) -> None:
    """A value in quotation marks may contain commas, quotation marks and line ends."""
    values = ['a, "b"', "c,d", "e\nf"]
    _, profiles = reading(download_csv([(n, 5, value, "customer_id") for n, value in enumerate(values, start=1)]))

    assert [profiles[str(n)][3] for n in range(1, 4)] == values


def test_the_latest_of_each_type_wins(reading: Reading) -> None:
    """The latest timestamp counts, for each type of identity on its own."""
    rows = [
        (1, 1580148438137, "new@example.com", "email"),
        (1, 1580148438136, "old@example.com", "email"),
        (1, 1580148438136, "new", "customer_id"),
        (1, 1580148438135, "old", "customer_id"),
    ]
    _, profiles = reading(download_csv(rows))

    assert profiles == {"1": (1, True, "new@example.com", "new")}


@pytest.mark.parametrize("extra", [1, 3_000])
def test_profiles_with_several_identities_of_a_type(reading: Reading, extra: int) -> None:
    """The latest identity counts for the few profiles with several of a type, however many they have."""
    rows = [(mpid, 5, value, kind) for mpid in range(1, 41) for value, kind in _one_of_each(mpid)]
    older = [(7, 4 - n % 3, value, kind) for n in range(extra) for value, kind in _one_of_each(1_000 + n)]
    later = [(7, 6, "new@example.com", "email"), (8, 6, " ", "email"), (50, 5, "device", "ios_idfv")]
    _, profiles = reading(download_csv([*older, *rows, *later]))

    expected: dict[str, object] = {str(n): (n, True, f"p{n}@example.com", f"c{n}") for n in range(1, 41)}
    expected["7"] = (7, True, "new@example.com", "c7")
    expected["50"] = (50, True, None, None)
    assert profiles == expected


def _one_of_each(number: int) -> list[tuple[str, str]]:
    return [(f"p{number}@example.com", "email"), (f"c{number}", "customer_id")]


def test_seconds_and_milliseconds_compare(reading: Reading) -> None:
    """A timestamp in seconds equals the same time in milliseconds."""
    rows = [(1, 1580148439, "new@example.com", "email"), (1, 1580148438137, "old@example.com", "email")]
    _, profiles = reading(download_csv(rows))

    assert profiles["1"][2] == "new@example.com"


def test_among_equals_the_last_listed_wins(reading: Reading) -> None:
    """Of identities with the same timestamp, the last row counts."""
    rows = [(1, 7, f"{n}@example.com", "email") for n in range(50)]
    _, profiles = reading(download_csv(rows))

    assert profiles["1"][2] == "49@example.com"


@pytest.mark.extended
def test_among_equals_the_last_listed_wins_in_a_large_file(reading: Reading) -> None:
    """Rows keep their order even if several threads read a file."""
    members = 130_000
    rows = [f"{n % members + 1}, 5, {n // members}-{n % members + 1}@example.com, email" for n in range(2 * members)]
    _, profiles = reading("\n".join([HEADER, *rows]))

    assert profiles == {str(n): (n, True, f"1-{n}@example.com", None) for n in range(1, members + 1)}


def test_unused_identities_may_be_anything(reading: Reading) -> None:
    """A device identity is ignored, however long, and its profile is a member."""
    _, profiles = reading(f"{HEADER}\n1, 5, {'x' * 5_000}, ios_idfv\n1, 5, a@example.com, email\n")

    assert profiles == {"1": (1, True, "a@example.com", None)}


def test_extreme_timestamps(reading: Reading) -> None:
    """Timestamps at both ends of 64 bits don't overflow."""
    rows = [
        (1, 2**63 - 1, "new@example.com", "email"),
        (1, -(2**63), "old@example.com", "email"),
        (1, 2**63 - 1, "newer@example.com", "email"),
    ]
    source, profiles = reading(download_csv(rows))

    assert profiles["1"][2] == "newer@example.com"
    assert source.as_of is None


@pytest.mark.parametrize("blank", ["", "   ", "\t", "\u00a0", "\u3000 "])
def test_a_blank_identity_is_none(reading: Reading, blank: str) -> None:
    """White space is not an identity, and does not replace an older identity."""
    rows = [(1, 5, "a@example.com", "email"), (1, 6, blank, "email"), (1, 6, blank, "customer_id")]
    _, profiles = reading(download_csv(rows))

    assert profiles == {"1": (1, True, "a@example.com", None)}


def test_identities_are_trimmed(reading: Reading) -> None:
    """White space around a value is removed, and its case stays."""
    _, profiles = reading(download_csv([(1, 5, " A@Example.com ", "email"), (1, 5, "\u00a0X", "customer")]))

    assert profiles == {"1": (1, True, "A@Example.com", "X")}


@pytest.mark.parametrize("mpid", [-(2**63), -1, 1, 2**63 - 1])
def test_mpids_are_signed_64_bit_integers(reading: Reading, mpid: int) -> None:
    """Mpids at both ends of the range are read."""
    _, profiles = reading(download_csv([(mpid, 5, "a@example.com", "email")]))

    assert list(profiles) == [str(mpid)]


def test_a_header_alone_is_an_empty_audience(reading: Reading) -> None:
    """A file with only a header is an empty audience, and a guard decides about it."""
    source, profiles = reading(HEADER, CSV_NAME)

    assert (source.rows, source.has_mpid, source.as_of, profiles) == (0, False, None, {})


@pytest.mark.parametrize("choice", ["8754", "PotentialParisians", "potentialparisians "])
def test_the_audience_may_be_named(reading: Reading, choice: str) -> None:
    """Requesting the audience of the file changes nothing."""
    source, _ = reading(download_csv(), CSV_NAME, audience=choice)

    assert source.audience_id == "8754"


def test_a_file_name_is_not_a_pattern(reading: Reading) -> None:
    """A file name with characters of DuckDB's patterns is a plain name."""
    reading(download_csv([HYDE]), "a1.csv")
    _, profiles = reading(download_csv([JEKYLL]), "a[1]*?'{x}.csv")

    assert list(profiles) == [str(JEKYLL[0])]
