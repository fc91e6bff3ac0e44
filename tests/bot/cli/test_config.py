"""`iterable-sync config`: the configuration as a file."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.cli.exit_codes import ExitCode
from tests.bot.cli.commands import Commands, until
from tests.documents import code_blocks

GUIDE = "docs/howto/configuration-as-code.md"
(FILE,) = code_blocks(GUIDE, "yaml")
SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="


def _file(run: Commands, text: str = FILE) -> Path:
    """Write a configuration file, and set the variables that it refers to."""
    run.env |= {"ITERABLE_KEY_SHOP": run.iterable.key, "OPS_URL": "https://receiver.example/x1", "OPS_SECRET": SECRET}
    path = run.folder / "sync.yml"
    path.write_text(text)
    return path


def test_guide(run: Commands) -> None:
    """Each command of the guide works, in its order, with its example; what it exports has no secret."""
    _file(run)
    expected = {"export": ExitCode.OK, "apply": ExitCode.OK, "plan": ExitCode.CHANGES}
    for block in code_blocks(GUIDE, "console"):
        for line in block.splitlines():
            words = line.removeprefix("$ iterable-sync ").partition(" > ")[0].split()
            done = run.here(*words)
            code = ExitCode.OK if "--prune" in words else expected[words[1]]
            assert done.code == code, (line, done.out, done.err)
    exported = run.here("config", "export").out
    assert "receiver.example" not in exported
    assert SECRET not in exported
    assert "'" not in exported, "no name needs quotes"
    assert re.search(r"^ {6}buyers:$", exported, re.MULTILINE)


def test_json(run: Commands) -> None:
    """With --json a plan, an application and a fault are one object each."""
    file = _file(run)
    planned = run.here("config", "plan", file, "--json").object
    assert [(each["kind"], each["name"], each["action"], each["needs_approval"]) for each in planned["changes"]] == [
        ("connection", "Shop", "add", False),
        ("mapping", "Shop/buyers", "add", True),
        ("schedule", "Shop/buyers/Each morning", "add", False),
        ("mapping", "Shop/visitors", "add", True),
        ("route", "ops", "add", False),
    ]
    assert planned["changes"][1]["settings"]["limits.added"] == [None, 500]
    applied = run.here("config", "apply", file, "--json").object
    assert len(applied["changes"]) == len(planned["changes"])
    assert run.here("config", "apply", file, "--json").object["changes"] == []
    _file(run, FILE.replace("removals: ask", "removal: ask"))
    wrong = run.here("config", "plan", file, "--json")
    assert wrong.code == ExitCode.BAD_INPUT
    assert "Did you mean `removals`?" in wrong.object["error"]


def test_managed(run: Commands) -> None:
    """A mapping of the file can't be edited on the command line, which says who manages it; it can be paused."""
    assert (
        run.here("config", "apply", _file(run, FILE.replace("new_list: Visitors of the shop", "list: 1002"))).code == 0
    )
    refused = run.here("mappings", "edit", "1", "--name", "x")
    assert refused.code == ExitCode.BAD_INPUT
    assert "A configuration file manages Buyers. Change it there, and apply the file." in refused.err
    assert "a configuration file" in run.here("mappings", "show", "1").out
    assert run.here("routes", "remove", "ops").code == ExitCode.BAD_INPUT


@pytest.mark.extended
def test_processes(run: Commands) -> None:
    """Two processes that apply a file at once, and one that is killed in the middle, leave no double."""
    mappings = "".join(f"      m{number}: {{audience: A{number}, new_list: L{number}}}\n" for number in range(40))
    file = _file(run, FILE.replace("      visitors:\n", f"{mappings}      visitors:\n"))

    def stored() -> int:
        with closing(sqlite3.connect(run.folder / "data" / "iterable-sync.sqlite")) as database:
            return int(database.execute("select count(*) from mappings").fetchone()[0])

    with run.started("config", "apply", file) as killed:
        until(lambda: stored() > 3)
        killed.process.kill()
    assert 3 < stored() < 42
    with run.started("config", "apply", file) as first:
        second = run("config", "apply", file)
        codes = {first.ended().code, second.code}
    assert ExitCode.OK in codes
    assert codes <= {ExitCode.OK, ExitCode.BAD_INPUT}, "refused, because the other one is at work"
    assert stored() == 42
    again = run("config", "apply", file)
    assert (again.code, "Nothing to change" in again.out) == (ExitCode.OK, True), again.out


def test_schema(run: Commands) -> None:
    """The schema is printed."""
    assert '"title": "ConfigurationFile"' in run.here("config", "schema").out
