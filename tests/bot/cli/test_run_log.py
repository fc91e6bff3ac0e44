"""The run log on the command line."""

import json

import pytest

from tests.bot.cli.commands import Commands
from tests.core.run_log.harness import rows

TABLE = "mpid,email,customer_id\n1,p1@example.com,c1\n"


@pytest.mark.extended
def test_run_log(run: Commands) -> None:
    """The run log is turned on with a salt from a file, gets the next sync, is shown and checked, and turned off."""
    assert "The run log is off" in run.here("run-log", "show").out
    place, salt = run.folder / "log", run.folder / "salt"
    place.mkdir()
    refused = run.here("run-log", "set", "log")
    assert refused.code == 2
    assert "need a salt of at least 16 characters" in refused.err
    salt.write_text("a salt that is secret\n")
    assert run.here("run-log", "set", "log", "--salt-file", "none").code == 2
    turned_on = run.here("run-log", "set", "log", "--salt-file", "salt")
    assert turned_on.out.endswith(f"{place}. Email addresses and ids are hashed with your salt.\n")

    (run.folder / "a.csv").write_text(TABLE)
    list_id = str(run.iterable.new_list())
    assert run.here("sync", "a.csv", "--list", list_id, "--yes").code == 0
    assert rows(place, "changes", "action, email = sha256('a salt that is secret' || 'p1@example.com')") == [
        ("add", True)
    ]
    shown = run.here("run-log", "show").out
    assert "Written last on" in shown
    assert "0 runs to write." in shown
    assert f"run log {place}: can be written, 0 runs to write" in run.here("doctor").out

    place.rename(run.folder / "away")
    (run.folder / "a.csv").write_text(TABLE + "2,p2@example.com,c2\n")
    assert run.here("sync", "a.csv", "--list", list_id, "--yes").code == 0
    failing = run.here("run-log", "show")
    assert "1 run to write." in failing.out
    assert "there is no such folder" in failing.err
    doctor = run.here("doctor")
    assert (doctor.code, "there is no such folder" in doctor.out) == (1, True)

    assert "is off. What was written stays." in run.here("run-log", "off").out
    assert "was off already" in run.here("run-log", "off").out
    entries = [json.loads(line) for line in run.here("audit", "export").out.splitlines()]
    changes = [(each["before"], each["after"]) for each in entries if each["action"] == "run_log.changed"]
    on = {"place": str(place), "identifiers": "hashed"}
    assert changes == [({"place": None}, on), (on, {"place": None})]
