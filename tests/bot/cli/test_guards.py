"""Guards on the command line: which runs wait for approval, and how a person approves them."""

import contextlib
import sqlite3

import pytest

from tests.bot.cli.commands import Commands, LocalIterable, Result


@pytest.fixture
def target(run: Commands, iterable: LocalIterable) -> int:
    """A list with 150 synced members."""
    target = iterable.new_list()
    assert run.here("sync", run.audience(range(150)), "--list", target, "--rate", 0).code == 0
    return target


def test_mass_removal_waits(run: Commands, iterable: LocalIterable, target: int) -> None:
    """Without a terminal, a mass removal ends with exit code 3 and prints the command that approves it."""
    waiting = run.here("sync", run.audience(range(100)), "--list", target, "--json")

    run_id = waiting.object["run_id"]
    assert waiting.code == 3
    assert waiting.object["status"] == "needs_approval"
    assert waiting.object["removed"] == 50
    assert f"iterable-sync runs resume {run_id} --yes" in waiting.err
    assert len(iterable.emails(target)) == 150

    resumed = run.here("runs", "resume", run_id, "--yes", "--json")

    assert resumed.code == 0
    assert resumed.object["removed"] == 50
    assert len(iterable.emails(target)) == 100


@pytest.mark.extended
def test_waiting_run_is_not_resumed_without_approval(run: Commands, iterable: LocalIterable, target: int) -> None:
    """Resuming a waiting run without an approval changes nothing."""
    waiting = run.here("sync", run.audience(range(100)), "--list", target, "--json")

    assert run.here("runs", "resume", waiting.object["run_id"]).code == 3
    assert len(iterable.emails(target)) == 150


def test_yes_does_not_empty_a_list(run: Commands, iterable: LocalIterable, target: int) -> None:
    """An empty audience needs --allow-empty; --yes does not suffice."""
    waiting = run.here("sync", run.audience([]), "--list", target, "--yes", "--json")

    assert waiting.code == 3
    assert f"runs resume {waiting.object['run_id']} --allow-empty" in waiting.err
    assert len(iterable.emails(target)) == 150
    assert run.here("runs", "resume", waiting.object["run_id"], "--yes").code == 3
    assert run.here("runs", "resume", waiting.object["run_id"], "--allow-empty").code == 0
    assert iterable.emails(target) == set()


@pytest.mark.extended
def test_run_that_has_to_wait_counts_nothing(run: Commands, target: int) -> None:
    """A run that fails because an earlier one waits for approval counts no rejected members."""
    run.here("sync", run.audience(range(100)), "--list", target)

    failed = run.here("sync", run.audience([1], ",c9"), "--list", target, "--mode", "add", "--json")

    assert failed.code == 2
    assert (failed.object["rejected"], failed.object["rejected_by_reason"]) == (0, {})


@pytest.mark.extended
def test_person_at_the_terminal_says_yes(run: Commands, iterable: LocalIterable, target: int) -> None:
    """A person at the terminal reads the plan, and their yes starts the upload."""
    result = _asked(run, target, "y\n")

    assert result.code == 0, result.err
    assert "50 of 150 people would be removed" in result.err
    assert result.object["status"] == "succeeded"
    assert len(iterable.emails(target)) == 100


@pytest.mark.extended
def test_person_at_the_terminal_says_no(run: Commands, iterable: LocalIterable, target: int) -> None:
    """Any answer other than yes leaves the run waiting."""
    result = _asked(run, target, "\n")

    assert result.code == 3
    assert result.object["status"] == "needs_approval"
    assert len(iterable.emails(target)) == 150


@pytest.mark.extended
def test_interrupt_at_the_question(run: Commands, iterable: LocalIterable, target: int) -> None:
    """Ctrl-C at the question ends the command, and the run waits."""
    result = _asked(run, target, "\x03")

    assert result.code == 130
    assert result.object["status"] == "needs_approval"
    assert len(iterable.emails(target)) == 150


def _asked(run: Commands, target: int, answer: str) -> Result:
    file = run.audience(range(100))
    return run.on_terminal("sync", file, "--list", target, "--json", wait_for="Approve it? [y/N]", answer=answer)


def test_yes_is_about_the_plan_that_was_printed(run: Commands, iterable: LocalIterable, target: int) -> None:
    """If an earlier run changed the plan, --yes first prints the new plan, and approves it only the next time."""
    older = run.here("sync", run.audience(range(100), name="a.csv"), "--list", target, "--json").object["run_id"]
    newer = run.here("sync", run.audience(range(10), name="b.csv"), "--list", target, "--json").object["run_id"]
    assert run.here("runs", "resume", older, "--yes").code == 0
    assert len(iterable.emails(target)) == 100
    again = run.here("runs", "resume", newer, "--yes", "--json")
    assert again.code == 3
    assert again.object["removed"] == 90
    assert "140 to remove" in again.object["error"]
    assert len(iterable.emails(target)) == 100
    assert run.here("runs", "resume", newer, "--yes").code == 0
    assert len(iterable.emails(target)) == 10


@pytest.mark.extended
def test_file_that_is_replaced_after_planning(run: Commands, iterable: LocalIterable, target: int) -> None:
    """An approval uploads the planned members even if another file has replaced theirs."""
    waiting = run.here("sync", run.audience(range(65)), "--list", target, "--json")
    assert (waiting.object["added"], waiting.object["removed"]) == (0, 85)
    run.audience(range(1000, 1500))
    assert run.here("runs", "resume", waiting.object["run_id"], "--yes").code == 0
    assert iterable.emails(target) == {f"p{number}@example.com" for number in range(65)}


@pytest.mark.extended
def test_show_prints_what_yes_approves(run: Commands, iterable: LocalIterable, target: int) -> None:
    """--yes prints a plan that was never printed instead of approving it; `runs show` prints it as well."""
    waiting = run.here("sync", run.audience(range(50)), "--list", target, "--json").object["run_id"]
    _forget_printed_plan(run)
    assert run.here("runs", "resume", waiting, "--yes").code == 3
    _forget_printed_plan(run)
    assert run.here("runs", "show", waiting).code == 0
    assert run.here("runs", "resume", waiting, "--yes").code == 0
    assert len(iterable.emails(target)) == 50


def _forget_printed_plan(run: Commands) -> None:
    """Forget which plan was printed last."""
    with contextlib.closing(sqlite3.connect(run.folder / "data" / "iterable-sync.sqlite")) as database:
        database.execute("UPDATE runs SET shown_digest = NULL")
        database.commit()


@pytest.mark.extended
def test_limits_of_additions(run: Commands, iterable: LocalIterable) -> None:
    """`mappings` sets the limits of additions, and a sync above both limits waits."""
    target = iterable.new_list()
    added = run.here("mappings", "add", "--list", target, "--max-add", 5, "--max-add-percent", 20)
    assert added.code == 0
    mapping = added.out.split()[1].rstrip(":")
    assert "more than 5 people and more than 20 %" in run.here("mappings", "show", mapping).out
    assert run.here("sync", run.audience(range(10)), "--list", target).code == 0
    waiting = run.here("sync", run.audience(range(30)), "--list", target, "--json")
    assert waiting.code == 3
    assert "20 people would be added" in waiting.object["error"]
    assert run.here("runs", "cancel", waiting.object["run_id"]).code == 0
    defaults = run.here("mappings", "set-limits", mapping)
    assert "more than 1,000 people and more than 50 %" in defaults.out
    assert run.here("sync", run.audience(range(31)), "--list", target).code == 0
