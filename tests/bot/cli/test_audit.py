"""Actions on the command line leave the same audit entries as actions in Slack."""

import json
import sqlite3
from contextlib import closing

import pytest

from tests.bot.cli.commands import Commands, LocalIterable, until

SUBSCRIBE = "/api/lists/subscribe"


def audit(run: Commands) -> list[tuple[str, str, str]]:
    """Return the rows of the audit table: actor, action and subject, oldest first."""
    with closing(sqlite3.connect(run.folder / "data" / "iterable-sync.sqlite")) as db:
        return db.execute("SELECT actor, action, subject FROM audit ORDER BY id").fetchall()


def test_sync_and_approval(run: Commands, iterable: LocalIterable) -> None:
    """A sync, the approval of its removals and its mapping leave audit entries with the command line as the actor."""
    target = iterable.new_list()
    first = run.here("sync", run.audience(range(150)), "--list", target, "--rate", 0, "--json").object["run_id"]
    waiting = run.here("sync", run.audience(range(100)), "--list", target, "--rate", 0, "--json").object["run_id"]
    assert run.here("runs", "resume", waiting, "--yes").code == 0

    assert audit(run) == [
        ("command line", "mapping.proposed", "mapping:1"),
        ("command line", "run.started", f"run:{first}"),
        ("command line", "run.started", f"run:{waiting}"),
        ("command line", "run.approved", f"run:{waiting}"),
    ]


def test_option_that_does_not_cover_the_plan(run: Commands, iterable: LocalIterable) -> None:
    """An approval covers all guards of a plan or is refused, and its audit entry names the plan."""
    target = iterable.new_list()
    run.here("sync", run.audience([1]), "--list", target)
    waiting = run.here("sync", run.audience([]), "--list", target, "--json").object["run_id"]
    assert run.here("runs", "resume", waiting, "--yes").code == 3
    assert run.here("runs", "resume", waiting, "--allow-empty").code == 0

    with closing(sqlite3.connect(run.folder / "data" / "iterable-sync.sqlite")) as db:
        entries = db.execute("SELECT after FROM audit WHERE action = 'run.approved' ORDER BY id").fetchall()
        (digest,) = db.execute("SELECT approved_digest FROM runs WHERE id = ?", (waiting,)).fetchone()
    assert [json.loads(after) for (after,) in entries] == [
        {"comment": None, "guards": ["empty_audience"], "plan": digest}
    ]


@pytest.mark.extended
def test_cancelling(run: Commands, iterable: LocalIterable) -> None:
    """A cancelled run has one audit entry, whether it waits or is being executed."""
    target = iterable.new_list()
    run.here("sync", run.audience(range(150)), "--list", target, "--rate", 0)
    waiting = run.here("sync", run.audience(range(100)), "--list", target, "--json").object["run_id"]
    assert run.here("runs", "cancel", waiting).code == 0
    with run.started("sync", run.audience(range(40_000)), "--list", target, "--rate", 1, "--json", "--yes") as command:
        until(lambda: iterable.requests(SUBSCRIBE) > 1)
        working = command.err.read_text().removeprefix("Run ").partition(":")[0]
        assert run.here("runs", "cancel", working).code == 0
        command.ended()

    assert [subject for _, action, subject in audit(run) if action == "run.cancelled"] == [
        f"run:{waiting}",
        f"run:{working}",
    ]


def test_resuming_a_failed_run(run: Commands, iterable: LocalIterable) -> None:
    """Resuming a failed run leaves the audit entry of a retry."""
    target = iterable.new_list()
    iterable.control("POST", "/faults", {"action": "error", "path": SUBSCRIBE, "status": 401, "code": "BadApiKey"})
    failed = run.here("sync", run.audience([1]), "--list", target, "--json").object["run_id"]
    iterable.control("DELETE", "/faults")
    assert run.here("runs", "resume", failed).code == 0

    assert audit(run)[-1] == ("command line", "run.retried", f"run:{failed}")


def test_connections_and_mappings(run: Commands, iterable: LocalIterable) -> None:
    """Adding, changing and removing connections and mappings leaves audit entries."""
    target = iterable.new_list()
    run.here("connections", "add", "shop")
    run.here("connections", "key", "shop")
    run.here("mappings", "add", "--list", target, "--audience", "Shoppers", "--connection", "shop")
    run.here("mappings", "remove", 1)
    run.here("connections", "remove", "shop", "--yes")

    assert audit(run) == [
        ("command line", "connection.added", "connection:1"),
        ("command line", "connection.key_replaced", "connection:1"),
        ("command line", "mapping.proposed", "mapping:1"),
        ("command line", "mapping.removed", "mapping:1"),
        ("command line", "connection.removed", "connection:1"),
    ]


def test_rejected_members_in_a_file(run: Commands, iterable: LocalIterable) -> None:
    """Writing the addresses of rejected members to a file leaves an audit entry."""
    file = run.audience(range(3), ",c8")
    run_id = run.here("sync", file, "--list", iterable.new_list(), "--json").object["run_id"]
    run.here("runs", "rejects", run_id, "--csv", run.folder / "rejects.csv")

    assert audit(run)[-1] == ("command line", "run.rejections_taken", f"run:{run_id}")
