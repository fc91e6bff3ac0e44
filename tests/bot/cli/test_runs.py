"""`iterable-sync runs list|show|rejects`."""

import csv
import stat
from datetime import datetime

import pytest

from tests.bot.cli.commands import Commands, LocalIterable


@pytest.fixture
def run_id(run: Commands, iterable: LocalIterable) -> str:
    """A run that rejected three members."""
    file = run.audience(range(3), '"=1+1 two@@signs",c7', ",c8", "gone@forgotten.test,-9")
    result = run.here("sync", file, "--list", iterable.new_list(), "--json")
    assert result.object["rejected"] == 3, result
    return str(result.object["run_id"])


def test_list_and_show(run: Commands, run_id: str) -> None:
    """`runs list` lists a run, and `runs show` prints its numbers and reasons."""
    listed = run.here("runs", "list")
    shown = run.here("runs", "show", run_id)

    assert run_id in listed.out
    assert f"Run {run_id} done" in shown.out
    assert "3  rejected" in shown.out
    assert "(iterable_forgotten)" in shown.out


def test_show_as_json_is_the_object_of_the_sync(run: Commands, run_id: str) -> None:
    """`runs show --json` prints the same object as the sync."""
    shown = run.here("runs", "show", run_id, "--json").object

    assert shown["status"] == "succeeded"
    assert shown["rejected_by_reason"] == {"invalid_email": 1, "iterable_forgotten": 1, "no_email": 1}


def test_list_as_json(run: Commands, run_id: str) -> None:
    """`runs list --json` prints the runs with the numbers of `runs show --json` and their times."""
    shown = run.here("runs", "show", run_id, "--json").object
    (listed,) = run.here("runs", "list", "--json").object["runs"]

    assert datetime.fromisoformat(listed["created_at"]) <= datetime.fromisoformat(listed["finished_at"])
    del shown["rejected_by_reason"], shown["notes"], listed["created_at"], listed["finished_at"]
    assert listed == shown


def test_rejects_are_counted_without_addresses(run: Commands, run_id: str) -> None:
    """Without --csv, `runs rejects` prints reasons and counts, and no addresses."""
    shown = run.here("runs", "rejects", run_id)

    assert shown.code == 0
    assert "forgotten.test" not in shown.out
    assert "--csv" in shown.out


def test_rejects_go_into_a_private_file(run: Commands, run_id: str) -> None:
    """With --csv, the rejected members go into a file that only its owner can read and that is safe in a
    spreadsheet."""
    path = run.folder / "rejects.csv"
    path.write_text("earlier content")
    path.chmod(0o644)

    assert run.here("runs", "rejects", run_id, "--csv", path).code == 0

    with path.open(newline="") as file:
        rows = {row["reason"]: row for row in csv.DictReader(file)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert rows["invalid_email"]["email"] == "'=1+1 two@@signs"
    assert rows["iterable_forgotten"]["email"] == "gone@forgotten.test"
    assert rows["iterable_forgotten"]["customer_id"] == "-9"
    assert "GDPR" in rows["iterable_forgotten"]["what_it_means"]


def test_rejects_file_that_cannot_be_written(run: Commands, run_id: str) -> None:
    """The error names the file that can't be written."""
    result = run.here("runs", "rejects", run_id, "--csv", run.folder)

    assert result.code == 2
    assert "can't be written" in result.err


def test_rejects_do_not_go_to_standard_output(run: Commands, run_id: str) -> None:
    """--csv refuses a dash, so that no addresses end up in a log."""
    result = run.here("runs", "rejects", run_id, "--csv", "-")

    assert result.code == 2
    assert not (run.folder / "-").exists()
