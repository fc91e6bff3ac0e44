"""`iterable-sync sync`: a file becomes a list, and the command prints a summary."""

import json

import pytest

from tests.bot.cli.commands import Commands, LocalIterable
from tests.core.reporting.test_run_report import KEYS


def test_list_holds_the_audience(run: Commands, iterable: LocalIterable) -> None:
    """After a sync the list contains the audience, and the summary says so."""
    target = iterable.new_list()

    result = run("sync", run.audience(range(20), ",c99"), "--list", target)

    assert result.code == 0, result.err
    assert iterable.emails(target) == {f"p{n}@example.com" for n in range(20)}
    assert "20  added" in result.out
    assert "1  rejected" in result.out
    assert "No email address." in result.out
    assert "rejects.csv" in result.out


@pytest.mark.extended
def test_json_is_all_that_standard_output_gets(run: Commands, iterable: LocalIterable) -> None:
    """With --json, standard output is one object with exactly the documented keys, in order."""
    target = iterable.new_list()

    result = run("sync", run.audience(range(5), "no-address,c99"), "--list", target, "--json")

    summary = result.object
    assert list(json.loads(result.out)) == KEYS
    assert summary["status"] == "succeeded"
    assert (summary["members"], summary["added"], summary["rejected"]) == (6, 5, 1)
    assert summary["rejected_by_reason"] == {"invalid_email": 1}
    assert (summary["list_id"], summary["user_id"], summary["error"]) == (target, "customerId", None)


def test_download_with_a_relative_data_directory(run: Commands, iterable: LocalIterable) -> None:
    """A ZIP download is read with the default data directory, which is relative."""
    assert run.here("sandbox", "samples", "samples").code == 0
    env = {"ITERABLE_SYNC_DATA_DIR": "data"}
    options = ("--list", iterable.new_list(), "--dry-run", "--json")
    result = run.here("sync", "samples/spring-shoppers.zip", *options, env=env)
    assert result.code == 0, result.err
    assert result.object["status"] == "planned"
    assert result.object["added"] > 1_000


def test_dry_run_sends_nothing(run: Commands, iterable: LocalIterable) -> None:
    """A dry run prints the changes, and sends none."""
    target = iterable.new_list()

    result = run.here("sync", run.audience(range(7)), "--list", target, "--dry-run", "--json")

    assert result.code == 0
    assert result.object["status"] == "planned"
    assert result.object["added"] == 7
    assert iterable.emails(target) == set()
    assert iterable.requests("/api/lists/subscribe") == 0


def test_saved_connection_needs_no_key_in_the_environment(run: Commands, iterable: LocalIterable) -> None:
    """A saved connection needs no key in the environment, and has its own User ID setting."""
    target = iterable.new_list()
    run.here("connections", "add", "shop", "--user-id", "mpid", "--rate", "0")

    result = run.here(
        "sync", run.audience(range(3)), "--list", target, "--connection", "shop", "--json", env={"ITERABLE_API_KEY": ""}
    )

    assert result.code == 0, result.err
    assert result.object["user_id"] == "mpid"


def test_usage_error_is_an_object_too(run: Commands) -> None:
    """With --json, wrong usage also prints an object with the same keys."""
    result = run.here("sync", "audience.csv", "--json")

    assert result.code == 2
    assert list(result.object) == KEYS
    assert result.object["run_id"] is None
    assert "--list" in result.object["error"]
    assert result.object["error"] in result.err


def test_lines_stay_whole_in_a_pipe(run: Commands, iterable: LocalIterable) -> None:
    """In a pipe, lines are not wrapped and do not end with blanks."""
    result = run.here("sync", run.audience([1], ",c9"), "--list", iterable.new_list(), env={"COLUMNS": ""})

    assert [line for line in result.out.splitlines() if line != line.rstrip()] == []
    assert (
        "Collect the address in mParticle, or choose the User ID setting mpid, which gives such a profile a "
        "placeholder address.\n" in result.out
    )


def test_dry_run_is_listed_with_what_it_would_do(run: Commands, iterable: LocalIterable) -> None:
    """The list of runs shows the planned numbers of a dry run."""
    run.here("sync", run.audience(range(7)), "--list", iterable.new_list(), "--dry-run")

    assert "+7 ~0 -0" in run.here("runs", "list").out
