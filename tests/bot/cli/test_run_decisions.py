"""`iterable-sync runs approve|decline|undo|export`, `mappings pause|resume` and `audit export`."""

import json

import pytest

from bot.cli.exit_codes import ExitCode
from tests.bot.cli.commands import Commands, LocalIterable


def _lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.extended
def test_undo_is_approved_as_it_was_printed(run: Commands, iterable: LocalIterable) -> None:
    """An undo waits for approval; `--yes` approves its plan only if it was printed. A declined one sends nothing."""
    list_id = iterable.new_list()
    done = str(run.here("sync", run.audience(range(3)), "--list", list_id, "--json").object["run_id"])
    undo_id = run.here("runs", "undo", done).out.split()[1]
    assert run.here("runs", "approve", undo_id).code == ExitCode.BAD_INPUT  # it has no plan yet
    assert run.here("runs", "resume", undo_id).code == ExitCode.NEEDS_APPROVAL

    approved = run.here("runs", "approve", undo_id, "--yes", "--comment", "wrong file")
    assert f"Run {undo_id} is approved" in approved.out
    assert "No worker is running" in approved.err
    assert run.here("runs", "resume", undo_id).code == ExitCode.OK
    assert iterable.emails(list_id) == set()

    again = run.here("runs", "undo", undo_id).out.split()[1]
    run.here("runs", "resume", again)
    assert f"iterable-sync runs approve {again}" in run.here("status").out
    status = run.here("status", "--json").object
    assert ([each["run_id"] for each in status["waiting"]], status["under_way"], status["alerts"]) == ([again], [], [])
    assert [each["last_run"]["run_id"] for each in status["mappings"]] == [again]
    assert run.here("runs", "decline", again).code == ExitCode.OK
    assert run.here("runs", "approve", again, "--yes").code == ExitCode.BAD_INPUT
    assert iterable.emails(list_id) == set()

    exported = _lines(run.here("runs", "export").out)
    assert [(each["run_id"], each["status"]) for each in exported] == [
        (again, "cancelled"),
        (undo_id, "succeeded"),
        (done, "succeeded"),
    ]
    listed = run.here("runs", "list", "--status", "cancelled", "--since", "2020-01-01", "--json").object["runs"]
    assert [each["run_id"] for each in listed] == [again]
    assert "There are no such runs" in run.here("runs", "list", "--mapping", 99).out
    assert "There is no status" in run.here("runs", "list", "--status", "done").err

    entries = _lines(run.here("audit", "export").out)
    (approval,) = [entry for entry in entries if entry["action"] == "run.approved"]
    assert (approval["actor"], approval["subject"]) == ("command line", f"run:{undo_id}")
    assert "wrong file" in str(approval["after"])
    last = entries[-2]["id"]
    assert [entry["id"] for entry in _lines(run.here("audit", "export", "--after", last).out)] == [entries[-1]["id"]]
    assert "example.com" not in str(entries)


def test_paused_mapping(run: Commands, iterable: LocalIterable) -> None:
    """Nothing is sent for a paused mapping, until it is resumed."""
    list_id = iterable.new_list()
    file = run.audience(range(2))
    run.here("mappings", "add", "--list", list_id)
    assert "is paused" in run.here("mappings", "pause", 1).out
    assert "is paused, not active" in run.here("mappings", "pause", 1).err
    assert "Paused" in run.here("status").out
    refused = run.here("sync", file, "--list", list_id)
    assert refused.code == ExitCode.BAD_INPUT
    assert iterable.emails(list_id) == set()
    assert "active again" in run.here("mappings", "resume", 1).out
    assert run.here("sync", file, "--list", list_id).code == ExitCode.OK
    assert len(iterable.emails(list_id)) == 2
