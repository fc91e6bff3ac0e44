"""Beyond which differences a list, or an audience in mParticle, differs from what was synced, and the words for it."""

import pytest

from core.runs.audience_sizes import AudienceSize
from core.runs.drift import differs, drift_message, limit_of
from core.store.list_checks import ListCheck


def checked(
    *, in_iterable: int = 1_000, missing: int | None = None, extra: int | None = None, sampled: int = 0, others: int = 0
) -> ListCheck:
    """A check of a list to which 1,000 people were synced."""
    return ListCheck(
        1,
        1001,
        0.0,
        checked_at=0.0,
        ours=1_000,
        in_iterable=in_iterable,
        missing=missing,
        extra=extra,
        sampled=sampled,
        others=others,
    )


@pytest.mark.parametrize(("sizes", "limit"), [((0, 0), 10), ((1_000, 1_099), 10), ((1_100, 1_000), 11)])
def test_limit_of_a_list(sizes: tuple[int, ...], limit: int) -> None:
    """Ten people or 1 % of the larger size may differ, whichever is more."""
    assert limit_of(*sizes) == limit


@pytest.mark.parametrize(
    ("check", "is_drift"),
    [
        pytest.param(checked(in_iterable=1_010), False, id="sizes within the limit"),
        pytest.param(checked(in_iterable=1_011), True, id="more than were synced"),
        pytest.param(checked(in_iterable=989), True, id="fewer than were synced"),
        pytest.param(checked(in_iterable=1_060, others=50), False, id="known people on the list"),
        pytest.param(checked(in_iterable=1_061, others=50), True, id="more than the known people"),
        pytest.param(checked(missing=10, extra=10), False, id="both within the limit"),
        pytest.param(checked(missing=11, extra=0), True, id="missing people"),
        pytest.param(checked(missing=0, extra=11), True, id="extra people"),
        pytest.param(checked(missing=0, extra=60, others=50), False, id="extra people that are known"),
        pytest.param(checked(missing=0, extra=39, others=50), True, id="known people who left"),
        pytest.param(checked(missing=1, sampled=50), False, id="one of a small sample"),
        pytest.param(checked(missing=2, sampled=50), True, id="two of a small sample"),
        pytest.param(checked(missing=3, sampled=300), False, id="one percent of a sample"),
        pytest.param(checked(missing=4, sampled=300), True, id="more than one percent of a sample"),
    ],
)
def test_difference_of_a_list(check: ListCheck, is_drift: bool) -> None:
    """Exactly the limit is no drift, one more is, in each direction and in each kind of check."""
    assert differs(check, 10) is is_drift


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (checked(in_iterable=1_500), "List 1001 has 1,500 people in Iterable, and 1,000 were synced to it."),
        (
            checked(missing=4, sampled=300),
            "List 1001 differs from what was synced: 4 of 300 people that were looked up are not on it.",
        ),
        (
            checked(missing=0, extra=12, others=1),
            "List 1001 differs from what was synced: 12 people on it were not synced to it (1 at the check before).",
        ),
        (
            checked(missing=12, extra=0),
            "List 1001 differs from what was synced: 12 people who were synced to it are missing.",
        ),
    ],
)
def test_message_on_drift(check: ListCheck, words: str) -> None:
    """The message says what is known: the sizes, a sample, or the people on one side only."""
    assert drift_message(check) == words


@pytest.mark.parametrize(
    ("in_mparticle", "synced", "keeps", "is_different"),
    [
        (200, 100, False, False),
        (201, 100, False, True),
        (100, 200, False, False),
        (100, 201, False, True),
        (100, 201, True, False),
        (201, 100, True, True),
        (2_000, 1_800, False, False),
        (2_000, 1_799, False, True),
    ],
)
def test_difference_from_mparticle(in_mparticle: int, synced: int, keeps: bool, is_different: bool) -> None:
    """A hundred people or 10 % of the larger number are normal, and so are more people if leavers stay."""
    assert AudienceSize(in_mparticle, synced, keeps).differs is is_different
