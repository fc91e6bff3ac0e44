"""`iterable-sync connections` and `mappings`: what they save, and what they never show."""

import pytest

from tests.bot.cli.commands import Commands, LocalIterable

OTHER_KEY = "sandbox-key-hybrid-0000000000000"


@pytest.fixture
def saved(run: Commands) -> Commands:
    """The connection "shop"."""
    assert run.here("connections", "add", "shop").code == 0
    return run


def test_key_is_tried_and_hidden(saved: Commands) -> None:
    """A saved key is encrypted, and the commands show only its last four characters."""
    shown = saved.here("connections", "show", "shop")
    listed = saved.here("connections", "list")

    assert f"...{saved.iterable.key[-4:]}" in shown.out
    assert "shop" in listed.out
    assert all(saved.iterable.key.encode() not in file.read_bytes() for file in (saved.folder / "data").glob("*.*"))


def test_doctor_compares_the_project_type(saved: Commands) -> None:
    """The doctor says if a project is of another type than its connection, and which command corrects it."""
    assert "the project is email-based" in saved.here("doctor").out
    saved.here("connections", "project-type", "shop", "hybrid")
    different = saved.here("doctor")
    assert different.code == 1
    text = " ".join(different.out.split())
    assert "the project is email-based, and counts as hybrid" in text
    assert 'Correct it with `iterable-sync connections project-type "shop" email`' in text


@pytest.mark.extended
def test_key_from_standard_input(run: Commands) -> None:
    """The key can come from standard input."""
    added = run(
        "connections", "add", "shop", "--key-stdin", stdin=f"{run.iterable.key}\n", env={"ITERABLE_API_KEY": ""}
    )

    assert added.code == 0, added.err


@pytest.mark.extended
def test_key_typed_at_a_terminal_is_not_shown(run: Commands) -> None:
    """The terminal does not show the key that a person types."""
    run.env["ITERABLE_API_KEY"] = ""

    added = run.on_terminal("connections", "add", "shop", wait_for="not shown", answer=f"{run.iterable.key}\n")

    assert added.code == 0, added.err


def test_refused_key_is_not_saved(run: Commands) -> None:
    """A key that Iterable refuses is not saved."""
    added = run.here("connections", "add", "shop", env={"ITERABLE_API_KEY": "0123456789abcdef"})

    assert added.code == 2
    assert "Iterable refuses the API key" in added.err
    assert "0123456789abcdef" not in added.err
    assert "No connection is saved yet." in run.here("connections", "list").out


def test_name_is_taken_once(saved: Commands) -> None:
    """Two connections can't have the same name."""
    again = saved.here("connections", "add", "shop")

    assert again.code == 2
    assert 'There is a connection "shop" already.' in again.err


def test_key_of_another_project_does_not_replace(saved: Commands, iterable: LocalIterable) -> None:
    """A used connection refuses the key of another Iterable project."""
    file = saved.audience([1])
    saved.here("sync", file, "--list", iterable.new_list(), "--connection", "shop")

    other = saved.here("connections", "key", "shop", "--key-stdin", stdin=OTHER_KEY)
    same = saved.here("connections", "key", "shop")

    assert other.code == 2
    assert "another Iterable project" in other.err
    assert same.code == 0, same.err


def test_removing_a_used_connection_needs_yes(saved: Commands, iterable: LocalIterable) -> None:
    """A connection with synced members is removed only with --yes."""
    saved.here("sync", saved.audience([1]), "--list", iterable.new_list(), "--connection", "shop")

    assert saved.here("connections", "remove", "shop").code == 3
    assert saved.here("connections", "remove", "shop", "--yes").code == 0
    assert saved.here("connections", "show", "shop").code == 2


def test_mapping_is_saved_shown_and_removed(saved: Commands, iterable: LocalIterable) -> None:
    """A mapping is added, listed, shown and removed by its id."""
    target = iterable.new_list()

    added = saved.here("mappings", "add", "--list", target, "--audience", "Shoppers", "--connection", "shop")
    again = saved.here("mappings", "add", "--list", target, "--audience", "Shoppers", "--connection", "shop")

    assert added.out.startswith("Mapping 1: ")
    assert again.code == 2
    assert "Shoppers" in saved.here("mappings", "list").out
    assert str(target) in saved.here("mappings", "show", 1).out
    assert saved.here("mappings", "remove", 1).code == 0
    assert saved.here("mappings", "show", 1).code == 2


def test_connection_of_the_environment_is_found_by_its_name(run: Commands, iterable: LocalIterable) -> None:
    """The connection of the environment's key is found by its listed name, and its key can't be replaced."""
    run.here("sync", run.audience([1]), "--list", iterable.new_list())

    assert run.here("connections", "show", "ITERABLE_API_KEY (us)").code == 0
    refused = run.here("connections", "key", "ITERABLE_API_KEY (us)")

    assert refused.code == 2
    assert "is not saved" in refused.err


@pytest.mark.extended
def test_no_key_typed(run: Commands) -> None:
    """Ctrl-D at the prompt for the key is an empty key."""
    run.env["ITERABLE_API_KEY"] = ""

    added = run.on_terminal("connections", "add", "shop", wait_for="not shown", answer="\x04")

    assert added.code == 2, added.err
    assert "The API key is empty." in added.err


def test_project_type_is_shown_and_corrected(saved: Commands) -> None:
    """The type of the project is found out when the connection is saved, shown, and corrected by a command."""
    assert "email-based" in saved.here("connections", "show", "shop").out
    corrected = saved.here("connections", "project-type", "shop", "hybrid")
    assert corrected.code == 0, corrected.err
    assert "hybrid" in saved.here("connections", "show", "shop").out
    assert "hybrid" in saved.here("connections", "list").out


def test_merging_is_turned_on_and_off(saved: Commands) -> None:
    """Merging is off at first, and a command turns it on; in a userID-based project it can't be."""
    assert "Merges profiles  no" in saved.here("connections", "show", "shop").out
    turned_on = saved.here("connections", "merge-profiles", "shop", "on")
    assert turned_on.code == 0, turned_on.err
    assert "Merges profiles  yes" in saved.here("connections", "show", "shop").out
    refused = saved.here("connections", "project-type", "shop", "userId")
    assert (refused.code, "Turn merging off" in refused.err) == (2, True)
