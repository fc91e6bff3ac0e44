"""The limit at which each guard begins, and its words: exactly at the limit there is none."""

from dataclasses import replace
from typing import Any

import pytest

from core.identity import ProjectType
from core.models.exclusions import Exclusion, ExclusionKind
from core.models.run import Guard, GuardName, PlanNumbers, SyncMode
from core.planning.guards import (
    PlannedNumbers,
    changed_plan_guard,
    check_guards,
    check_merges,
    check_project_type,
    check_removals,
    emptying_guard,
    repair_guard,
    undo_guard,
)
from core.planning.member_account import IdentityProblems
from core.planning.source_guards import History
from core.sources import Source, SourceFormat
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy

MAPPING = AudienceMapping(1, 1, 1001, None, "Spring", "auto", 0.0, proposed_by="U1")
SOURCE = Source(SourceFormat.TABLE, True, None, None, "spring.csv", rows=1_000, has_mpid=True, as_of=None)
NUMBERS = PlannedNumbers(members=1_000, left=0, to_add=0, to_remove=0, ledger_size=1_000)


def triggered(
    numbers: PlannedNumbers = NUMBERS, mapping: AudienceMapping = MAPPING, source: Source = SOURCE, **more: Any
) -> list[Guard]:
    """The guards of a plan of a whole audience."""
    return list(check_guards(SyncMode.MIRROR, mapping, source, numbers, history=History(), source_at=None, **more))


def names(guards: list[Guard]) -> list[GuardName]:
    """The names of guards."""
    return [guard.name for guard in guards]


@pytest.mark.parametrize(
    ("ledger_size", "to_remove", "limit", "is_triggered"),
    [
        (100, 100, None, False),
        (101, 21, None, True),
        (110, 22, None, False),
        (110, 23, None, True),
        (200, 20, 0.1, False),
        (200, 21, 0.1, True),
        (200, 1, 0.0, True),
        (200, 0, 0.0, False),
    ],
)
def test_removals(ledger_size: int, to_remove: int, limit: float | None, is_triggered: bool) -> None:
    """More than a fifth, or than the mapping's own share, of more than a hundred people need approval."""
    mapping = replace(MAPPING, max_removed_share=limit)
    assert names(check_removals(mapping, to_remove, ledger_size)) == [GuardName.MASS_REMOVAL] * is_triggered


@pytest.mark.parametrize(("to_remove", "people"), [(1, "1 person"), (2, "2 people"), (1_500, "1,500 people")])
def test_removals_that_are_asked_for(to_remove: int, people: str) -> None:
    """The guard of a mapping that asks each time counts people in the singular and the plural."""
    (guard,) = check_removals(replace(MAPPING, removal_policy=RemovalPolicy.ASK), to_remove, 10_000)
    assert guard.message == f"{people} would be removed from list 1001, and this mapping asks each time."


@pytest.mark.parametrize(
    ("ledger_size", "to_replace", "is_triggered"),
    [(100, 100, False), (101, 21, True), (110, 22, False), (110, 23, True)],
)
def test_replacements(ledger_size: int, to_replace: int, is_triggered: bool) -> None:
    """Another identity for more than a fifth of more than a hundred people needs approval."""
    numbers = replace(NUMBERS, ledger_size=ledger_size, to_replace=to_replace)
    assert names(triggered(numbers)) == [GuardName.MASS_REPLACEMENT] * is_triggered


@pytest.mark.parametrize(
    ("members", "problems", "expected"),
    [
        (1_000, IdentityProblems(shared_customer_ids=10), []),
        (1_000, IdentityProblems(shared_customer_ids=11), [GuardName.SHARED_CUSTOMER_ID]),
        (100_000, IdentityProblems(shared_customer_ids=100), []),
        (100_000, IdentityProblems(shared_customer_ids=101), [GuardName.SHARED_CUSTOMER_ID]),
        (1_000, IdentityProblems(lost_ids=10, lost_emails=10), []),
        (1_000, IdentityProblems(lost_ids=11), [GuardName.VANISHED_IDENTITIES]),
        (1_000, IdentityProblems(lost_emails=11), [GuardName.VANISHED_IDENTITIES]),
    ],
)
def test_identities(members: int, problems: IdentityProblems, expected: list[GuardName]) -> None:
    """A shared or lost identity of more than 1 % of the members needs approval, or a shared one of more than 100."""
    assert names(triggered(replace(NUMBERS, members=members), problems=problems)) == expected


def test_words_on_identities() -> None:
    """The guards name the column with the shared values, and which identity was lost."""
    problems = IdentityProblems(shared_customer_ids=500, lost_ids=200, lost_emails=300)
    source = replace(SOURCE, customer_id_column="company")
    shared, lost_ids, lost_emails = (guard.message for guard in triggered(source=source, problems=problems))
    assert shared.startswith("The column company has the same value for several emails: 500 of 1,000 addresses")
    assert lost_ids.startswith("200 of 1,000 people kept their email and lost their customer id or mpid")
    assert lost_emails.startswith("300 of 1,000 people kept their id and lost their email")
    assert triggered(problems=problems)[0].message.startswith("The customer id has the same value")


@pytest.mark.parametrize(
    ("policy", "mode", "members", "is_triggered"),
    [
        (RemovalPolicy.REMOVE, SyncMode.MIRROR, 0, True),
        (RemovalPolicy.REMOVE, SyncMode.MIRROR, 1, False),
        (RemovalPolicy.REMOVE, SyncMode.DELTA, 0, False),
        (RemovalPolicy.KEEP, SyncMode.MIRROR, 0, False),
    ],
)
def test_empty_audience(policy: RemovalPolicy, mode: SyncMode, members: int, is_triggered: bool) -> None:
    """A whole audience without anyone needs approval, if it would take people off the list."""
    mapping, numbers = replace(MAPPING, removal_policy=policy), replace(NUMBERS, members=members)
    guards = check_guards(mode, mapping, SOURCE, numbers, history=History(), source_at=None)
    assert names(list(guards)) == [GuardName.EMPTY_AUDIENCE] * is_triggered


def test_words_on_an_empty_audience() -> None:
    """The guard says how many people would leave, if someone was synced before."""
    empty = replace(NUMBERS, members=0)
    words = "The audience is empty: spring.csv has no one in it"
    assert triggered(empty)[0].message == f"{words}, and all 1,000 people synced before would be removed."
    assert triggered(replace(empty, ledger_size=0))[0].message == f"{words}."


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "First sync of Spring to list 1001."),
        ({"list_id": -1}, "First sync of Spring to a new list, which is created then."),
        ({"audience_name": None, "audience_id": "8754"}, "First sync of 8754 to list 1001."),
        ({"audience_name": None}, "First sync of spring.csv to list 1001."),
        (
            {"fields": {"Plan": "plan"}, "exclusions": (Exclusion(ExclusionKind.DOMAIN, "example.com"),)},
            "First sync of Spring to list 1001, with the data fields Plan as plan, without @example.com.",
        ),
        ({"fields_before": {"Plan": "plan"}}, "First sync of Spring to list 1001, without data fields."),
        (
            {
                "change_before": {"mode": "add", "removal_policy": "keep", "exclusions": "[]"},
                "exclusions": (Exclusion(ExclusionKind.DOMAIN, "example.com"),),
            },
            (
                "The mapping was changed: its mode is auto (before: add); people who leave the audience leave the list "
                "(before: they stay on the list); it excludes @example.com (before: no one)."
            ),
        ),
    ],
)
def test_words_on_a_mapping(settings: dict[str, Any], words: str) -> None:
    """The guard of a mapping that is not approved says what would be approved."""
    mapping = replace(MAPPING, status=MappingStatus.PROPOSED, **settings)
    assert [guard.message for guard in triggered(mapping=mapping)] == [words]


@pytest.mark.parametrize(
    ("synced_as", "is_triggered"), [(None, False), (ProjectType.EMAIL, False), (ProjectType.HYBRID, True)]
)
def test_project_type(synced_as: ProjectType | None, is_triggered: bool) -> None:
    """A list that was synced for another type of project needs approval."""
    guards = check_project_type(replace(MAPPING, project_type=synced_as), ProjectType.EMAIL)
    assert names(guards) == [GuardName.PROJECT_TYPE] * is_triggered


@pytest.mark.parametrize(
    ("guards", "words"),
    [
        (
            [changed_plan_guard(PlanNumbers(to_add=1, to_update=2, to_remove=3), None)],
            "It was 1 to add, 2 to update and 3 to remove.",
        ),
        (
            [changed_plan_guard(PlanNumbers(to_add=1, to_update=2, to_remove=3, to_merge=4), 0)],
            "Up to 4 profiles would have been merged. 0 of the changes now were not part of what was approved.",
        ),
        (check_merges(1), "Up to 1 profile in Iterable would be merged"),
        (check_merges(2), "Up to 2 profiles in Iterable would be merged"),
        ([repair_guard(7, to_add=1, to_remove=0)], "list 7: 1 person who is missing on it would be added again."),
        (
            [repair_guard(7, to_add=1_500, to_remove=1)],
            "1,500 people who are missing on it would be added again, and 1 who is not in the audience would be",
        ),
        ([repair_guard(7, to_add=0, to_remove=2)], "and 2 who are not in the audience would be removed."),
        ([emptying_guard(7, to_remove=2, stays=0)], "2 people would leave the list, and the mapping would be deleted."),
        (
            [emptying_guard(7, to_remove=1, stays=2)],
            "1 person would leave the list, and the mapping would be deleted; 2 people will stay because of",
        ),
        (
            [undo_guard("k3v9m2x7qa", to_add=1, to_update=2, to_remove=3)],
            "3 would be taken off the list, 1 put back and 2 changed back.",
        ),
    ],
)
def test_numbers_of_a_guard(guards: list[Guard], words: str) -> None:
    """A guard says each number once, and says nothing of what does not happen."""
    assert [words in guard.message for guard in guards] == [True]
