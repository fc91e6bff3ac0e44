"""The steps of docs/howto/migrate-from-mparticle.md as they are written there, on a list of the hosted extension."""

import re
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.bot.cli.commands import Commands

HOW_TO = Path(__file__).parents[3] / "docs/howto/migrate-from-mparticle.md"
#: People that the hosted extension put on the list in mpid mode, and devices of its events in customerId mode.
PROFILES: list[dict[str, Any]] = [
    {"mpid": 1, "email": "p1@example.com"},
    {"mpid": 2},
    {"mpid": 9, "email": "p9@example.com"},
    {"mpid": 10},
]
DEVICES: list[dict[str, Any]] = [{"mpid": 11, "deviceId": "6f1d-idfv"}]


def steps() -> list[list[str]]:
    """The commands of the page, in their order."""
    lines = re.findall(r"^ +\$ (iterable-sync .+)$", HOW_TO.read_text(), re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


def without_limits(run: Commands) -> None:
    """Sizes and people can be read as often as a test wants; Iterable allows 5 times a minute."""
    run.iterable.control("PATCH", "/settings", {"limits": {"size": 0, "getUsers": 0}})


def an_hour_passes(run: Commands) -> None:
    """All syncs ended an hour ago."""
    with sqlite3.connect(run.folder / "data" / "iterable-sync.sqlite") as database:
        database.execute("UPDATE runs SET finished_at = finished_at - 3600")
    database.close()


@pytest.mark.extended
def test_migration_as_the_page_says(run: Commands) -> None:
    """Each command of the page does what the page says, for both shapes of placeholders, and the list matches then."""
    list_id = run.iterable.new_list()
    for profiles, by_mpid in ((PROFILES, True), (DEVICES, False)):
        run.iterable.control("POST", f"/lists/{list_id}/hosted", {"profiles": profiles, "byMpid": by_mpid})
    (run.folder / "audience.csv").write_text("mpid,email\n1,p1@example.com\n2,p2@example.com\n3,p3@example.com\n")
    connect, add, preview, adopt, verify = steps()
    add[add.index("1001")] = str(list_id)
    without_limits(run)

    assert run.here(*connect, "--rate", "0").code == 0
    assert "Mapping 1:" in run.here(*add).out
    tried, refused, done = run.here(*preview), run.here(*adopt), run.here(*adopt, "--yes")

    printed = " ".join(tried.out.split())
    assert "5 people are on it: 2 belong to the audience, and 3 would be removed." in printed
    assert "2 of those are placeholders that mParticle made: 1 of profiles that left, 1 of devices." in printed
    assert (tried.code, refused.code, done.code) == (0, 3, 0), done.err
    assert run.iterable.emails(list_id) == {"p1@example.com", "p2@example.com", "p3@example.com"}
    an_hour_passes(run)
    verified = run.here(*verify)
    assert (verified.code, "The list matches what was synced to it." in verified.err) == (0, True), verified.err
    again = run.here("sync", "audience.csv", "--list", str(list_id), "--connection", "shop")
    assert "3  unchanged" in again.out


@pytest.mark.extended
def test_a_list_that_differs(run: Commands) -> None:
    """`verify` says how the list differs, writes who does to a private file, and repairs it with approval."""
    list_id = run.iterable.new_list()
    without_limits(run)
    assert run.here("connections", "add", "fast", "--rate", "0").code == 0
    run.here("sync", str(run.audience(range(1, 41))), "--list", str(list_id), "--connection", "fast")
    gone, strangers = [f"p{n}@example.com" for n in range(1, 21)], [f"x{n}@example.com" for n in range(3)]
    an_hour_passes(run)
    run.iterable.control("POST", f"/lists/{list_id}/people", {"remove": gone, "add": strangers})

    differs = run.here("verify", "1", "--json")
    listed = run.here("verify", "1", "--csv", "differences.csv")
    waits, repaired = run.here("verify", "1", "--repair", "both"), run.here("verify", "1", "--repair", "both", "--yes")
    an_hour_passes(run)
    after = run.here("verify", "1", "--json")

    assert differs.code == 1
    numbers = {name: differs.object[name] for name in ("ours", "in_iterable", "missing", "extra", "drift", "early")}
    assert numbers == {"ours": 40, "in_iterable": 23, "missing": 20, "extra": 3, "drift": True, "early": False}
    written = (run.folder / "differences.csv").read_text(encoding="utf-8-sig")
    assert (listed.code, written.count('"missing"'), written.count('"extra"')) == (1, 20, 3)
    assert (run.folder / "differences.csv").stat().st_mode & 0o777 == 0o600
    assert (waits.code, repaired.code) == (3, 0), repaired.err
    assert run.iterable.emails(list_id) == {f"p{n}@example.com" for n in range(1, 41)}
    assert (after.code, after.object["missing"], after.object["extra"]) == (0, 0, 0)


@pytest.mark.extended
def test_freezes(run: Commands) -> None:
    """A frozen mapping sends nothing: `sync` ends with 3, `mappings show` says why, and `runs resume` sends after the
    freeze."""
    list_id = str(run.iterable.new_list())
    assert run.here("sync", str(run.audience([1])), "--list", list_id).code == 0
    assert "all removals wait until" in run.here("mappings", "freeze", "1", "--until", "2h", "--only", "removals").out
    assert run.here("mappings", "freeze", "all", "--until", "monday").code == 0
    run.iterable.control("POST", "/campaigns", {"name": "Spring launch", "listIds": [int(list_id)], "inMinutes": 60})

    waits = run.here("sync", str(run.audience([2])), "--list", list_id)
    shown = run.here("mappings", "show", "1").out
    bad = run.here("mappings", "freeze", "1", "--until", "soon")
    run.here("mappings", "unfreeze", "all")
    run.here("mappings", "unfreeze", "1")
    resumed = run.here("runs", "resume", waits.err.split("runs resume ")[1].split()[0])

    assert waits.code == 3
    assert "All changes wait until" in shown
    assert '"Spring launch" goes to this list' in shown
    assert (bad.code, resumed.code) == (2, 0), resumed.err
    assert run.iterable.emails(int(list_id)) == {"p2@example.com"}
