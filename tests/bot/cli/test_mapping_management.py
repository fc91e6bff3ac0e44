"""`iterable-sync mappings edit|archive|restore|delete`, as docs/howto/manage-mappings.md has them."""

import re
import shlex

import pytest

from tests.bot.cli.commands import Commands, LocalIterable
from tests.documents import DOCUMENTS


def steps() -> list[list[str]]:
    """The commands of the page, in their order."""
    lines = re.findall(r"^\$ iterable-sync (.+)$", DOCUMENTS["docs/howto/manage-mappings.md"], re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.mark.extended
def test_mapping_is_managed_as_the_page_says(run: Commands, iterable: LocalIterable) -> None:
    """A mapping is edited, archived, restored, and deleted after everyone was taken off its list."""
    target = iterable.new_list()
    assert run.here("sync", run.audience(range(3)), "--list", target).code == 0
    name, limit, named, exclude, from_file, archive, archived, restore, choices, delete = steps()

    assert run.here("mappings", "edit", 1).code == 2
    assert 'called "Spring sale"' in run.here(*name).out
    assert "removes more than 40 %" in run.here(*limit).out
    assert "Its approvers: U0123ABCD, S0123ABCD." in run.here(*named).out
    shown = run.here("mappings", "show", 1).out
    assert "1 Spring sale" in shown
    assert "C0123456789" in shown

    assert run.here("mappings", "exclude", 1).code == 2
    assert "until then every sync asks" in run.here(*exclude).out
    waits = run.here("sync", run.audience(range(3)), "--list", target)
    assert (waits.code, "excludes 1 address, @example.org" in waits.err) == (3, True)
    assert "1 of them because the mapping excludes them" in waits.err
    assert run.here("runs", "resume", waits.err.split("Run ")[1].split(":")[0], "--yes").code == 0
    assert iterable.emails(target) == {"p0@example.com", "p2@example.com"}
    run.audience([2], name="employees.csv")
    assert "until then" not in run.here(*from_file).out
    assert run.here("mappings", "exclude", 1, "--domain", "example.org", "--remove", "--yes").code == 0
    assert "1 address, the people in" in run.here("mappings", "show", 1).out
    back = run.here("mappings", "exclude", 1, "--no-one", "--yes").out
    assert "excludes no one" in back
    assert "until then every sync asks" in run.here("mappings", "edit", 1, "--mode", "add", "--removals", "keep").out
    assert "its mode is add (before: auto)" in run.here("mappings", "show", 1).out
    assert run.here("mappings", "edit", 1, "--mode", "auto", "--removals", "remove").code == 0
    assert run.here("sync", run.audience(range(3)), "--list", target).code == 0

    assert run.here(*archive).code == 0
    assert "Spring sale" not in run.here("mappings", "list").out
    assert "Spring sale" in run.here(*archived).out
    refused = run.here("sync", run.audience(range(4)), "--list", target)
    assert (refused.code, "is archived" in refused.err) == (2, True)
    assert "needs approval" in run.here(*restore).out

    asked = run.here(*choices)
    assert (asked.code, "3 people are on list" in asked.err) == (3, True)
    waits = run.here(*delete[:-1])
    assert (waits.code, "takes everyone off" in waits.err) == (3, True)
    assert len(iterable.emails(target)) == 3
    run_id = waits.err.split("Run ")[1].split()[0]
    assert run.here("runs", "cancel", run_id).code == 0
    assert run.here(*delete).code == 0
    assert iterable.emails(target) == set()
    assert "archived, deleted" in run.here("mappings", "show", 1).out


def test_mapping_is_forgotten(run: Commands, iterable: LocalIterable) -> None:
    """A mapping is deleted with its record if --yes says so, and the people stay on the list."""
    target = iterable.new_list()
    assert run.here("sync", run.audience(range(2)), "--list", target).code == 0
    assert run.here("mappings", "edit", 1, "--name", "VIPs").code == 0
    assert run.here("mappings", "edit", 1, "--name", "none", "--channel", "none").code == 0
    assert run.here("mappings", "delete", 1, "--members", "leave").code == 3
    assert run.here("mappings", "delete", 1, "--members", "leave", "--yes").code == 0
    assert run.here("mappings", "show", 1).code == 2
    assert len(iterable.emails(target)) == 2


@pytest.mark.extended
def test_audience_goes_to_another_list(run: Commands, iterable: LocalIterable) -> None:
    """Without --members the command says what happens to both lists; then a new mapping takes the place."""
    former, target = iterable.new_list(), iterable.new_list()
    assert run.here("sync", run.audience(range(2)), "--list", former).code == 0
    asked = run.here("mappings", "set-list", 1, "--list", target)
    assert (asked.code, "2 people are on list" in asked.err) == (3, True)
    waits = run.here("mappings", "set-list", 1, "--list", target, "--members", "leave")
    assert (waits.code, "Until then mapping 1 is synced as before" in waits.err) == (0, True)
    assert run.here("mappings", "set-list", 1, "--list", target, "--members", "leave").code == 2
    assert run.here("sync", run.audience(range(2)), "--list", target, "--yes").code == 0
    assert len(iterable.emails(former)) == len(iterable.emails(target)) == 2
    assert run.here("sync", run.audience(range(2)), "--list", former).code == 2
    back = run.here("mappings", "set-list", 2, "--list", iterable.new_list(), "--members", "remove", "--yes")
    assert "takes everyone off" in back.err
    assert run.here("runs", "resume", back.err.split("Run ")[1].split()[0]).code == 0
    assert iterable.emails(target) == set()


def test_people_are_chosen(run: Commands, iterable: LocalIterable) -> None:
    """A mapping and a connection get operators and approvers, by ids without Slack; `none` returns to the default."""
    target = iterable.new_list()
    assert run.here("sync", run.audience(range(2)), "--list", target).code == 0
    saved = run.here("mappings", "edit", 1, "--operator", "U01MAYA", "--approver", "S01CRM", "--approver", "U01AMIR")
    assert "Its operators: U01MAYA. Its approvers: S01CRM, U01AMIR." in saved.out
    assert "Approvers S01CRM, U01AMIR" in " ".join(run.here("mappings", "show", 1).out.split())
    assert "Its approvers: those of the connection" in run.here("mappings", "edit", 1, "--approver", "none").out
    refused = run.here("mappings", "edit", 1, "--approver", "amir@example.com")
    assert (refused.code, "Slack is not configured" in refused.err) == (2, True)
    name = "ITERABLE_API_KEY (us)"
    assert run.here("connections", "people", name).code == 2
    assert "approvers: U01AMIR" in run.here("connections", "people", name, "--approver", "U01AMIR").out
    assert "U01AMIR" in run.here("connections", "show", name).out
