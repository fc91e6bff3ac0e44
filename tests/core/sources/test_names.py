"""The audience in the name of a file."""

import pytest

from core.sources.audience_ref import UNKNOWN_AUDIENCE, AudienceRef, common_name, from_bucket_name, from_download_name


@pytest.mark.parametrize(
    ("file_name", "audience"),
    [
        ("8754_PotentialParisians_172136Nov292018.csv", AudienceRef("8754", "PotentialParisians")),
        ("8754_A_b c - d_172136Nov292018.csv", AudienceRef("8754", "A_b c - d")),
        ("8754_A_172136Nov292018 (1).csv", AudienceRef("8754", "A")),
        ("8754_A_172136Nov292018.CSV", AudienceRef("8754", "A")),
        ("people.csv", UNKNOWN_AUDIENCE),
        ("2024_people.csv", UNKNOWN_AUDIENCE),
    ],
)
def test_names_of_downloads(file_name: str, audience: AudienceRef) -> None:
    """A download's name has id, name and time, separated by underscores."""
    assert from_download_name(file_name) == audience


@pytest.mark.parametrize(
    ("file_name", "audience"),
    [
        ("Low-Engagement_1234_2020-07-08_00-16-14_5bd6c1e4-7b52.txt", AudienceRef("1234", "Low-Engagement")),
        ("A_1_2_2020-07-08_00-16-14_5bd6c1e4.txt", AudienceRef("2", "A_1")),
        ("delta.txt", UNKNOWN_AUDIENCE),
    ],
)
def test_names_in_a_bucket(file_name: str, audience: AudienceRef) -> None:
    """A bucket's file has name, id, date, time and a unique id."""
    assert from_bucket_name(file_name) == audience


@pytest.mark.parametrize(
    ("variants", "name"),
    [
        (["VIPs - A", "VIPs - B"], "VIPs"),
        (["VIPs", "VIPs_B"], "VIPs"),
        (["Control", "Treatment"], "Control"),
        ([None, "VIPs"], "VIPs"),
        ([None], None),
    ],
)
def test_name_of_variants(variants: list[str | None], name: str | None) -> None:
    """The name of variants is their common part, or else the first name."""
    assert common_name(variants) == name


@pytest.mark.parametrize("choice", ["1234", "Low Engagement", "low-engagement", " LOW  ENGAGEMENT "])
def test_an_audience_answers_to_id_and_name(choice: str) -> None:
    """An audience is chosen by id or by name, with hyphens for spaces."""
    assert AudienceRef("1234", "Low-Engagement").matches(choice)


@pytest.mark.parametrize("choice", ["123", "12345", "Engagement", ""])
def test_an_audience_does_not_answer_to_a_part(choice: str) -> None:
    """An audience is not chosen by a part of its id or name."""
    assert not AudienceRef("1234", "Low-Engagement").matches(choice)
