"""Sources, schedules and many syncs at once on the command line."""

import json

import pytest

from tests.bot.cli.commands import Commands

TABLE = "mpid,email,customer_id\n1,p1@example.com,c1\n"


def test_schedule_is_added(run: Commands) -> None:
    """A mapping gets a source and a schedule, which the list shows, and which can be paused by its name."""
    list_id = run.iterable.new_list()
    assert run.here("mappings", "add", "--list", str(list_id), "--audience", "Shoppers").code == 0
    refused = run.here("schedules", "add", "1", "--daily", "08:00")
    assert refused.code == 2
    assert "has no source" in refused.err
    assert run.here("mappings", "set-source", "1", str(run.folder)).code == 0
    added = run.here("schedules", "add", "1", "--weekdays", "08:00", "--time-zone", "Europe/Berlin", "--name", "Daily")
    assert 'Schedule 1 "Daily": at 08:00 on Monday through Friday (Europe/Berlin)' in added.out
    assert run.here("schedules", "pause", "daily").code == 0
    (schedule,) = json.loads(run.here("schedules", "list", "--json").out)["schedules"]
    shown = {name: schedule[name] for name in ("name", "cron", "time_zone", "paused", "next_due_at", "created_by")}
    assert shown == {
        "name": "Daily",
        "cron": "0 8 * * 1-5",
        "time_zone": "Europe/Berlin",
        "paused": True,
        "next_due_at": None,
        "created_by": "command line",
    }


@pytest.mark.extended
def test_many_at_once(run: Commands) -> None:
    """Each audience of a folder goes to its mapping; a file without a mapping is named, and the exit code says so."""
    folder = run.folder / "exports"
    folder.mkdir()
    for name in ("Lapsed.csv", "7_Shoppers_172136Nov292018.csv", "Unknown.csv"):
        (folder / name).write_text(TABLE)
    assert run.here("sync-all").out.startswith("There is nothing to sync")
    for audience in ("Shoppers", "Lapsed"):
        run.here("mappings", "add", "--list", str(run.iterable.new_list()), "--audience", audience)
    result = run.here("sync-all", str(folder))
    assert result.code == 1
    assert "not synced: no mapping has this audience" in result.out
    assert result.out.count("run ") == 2
    assert run.here("mappings", "set-source", "1", str(folder), "--existing", "all").code == 0
    assert "looks for new files" in run.here("sync-all").out
    for command in (
        ["--hourly"],
        ["--weekly", "monday 08:00"],
        ["--new-file"],
        ["--cron", "*/5 * * * *"],
        ["--after", "2"],
    ):
        assert run.here("schedules", "add", "1", *command).code == 0
    assert run.here("schedules", "add", "1", "--hourly", "--new-file").code == 2
    assert run.here("schedules", "run-now", "Shoppers 2").code == 0
    assert run.here("schedules", "remove", "Shoppers 2").code == 0
    assert run.here("schedules", "resume", "Shoppers 2").code == 2
    assert "after mapping 2 succeeds" in run.here("schedules", "list").out
    by_hand = run.here("mappings", "set-source", "1", "--by-hand")
    assert by_hand.code == 2
    assert "Remove them first" in by_hand.err
