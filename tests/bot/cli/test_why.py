"""`iterable-sync why`: what it says about a person."""

from tests.bot.cli.commands import Commands


def test_person_is_explained(run: Commands) -> None:
    """The command says which run put a person on the list, that Iterable confirms it, and why another was rejected."""
    list_id = run.iterable.new_list()
    file = run.folder / "audience.csv"
    file.write_text("mpid,email,customer_id\n1,p1@example.com,c1\n2,,c2\n")
    assert run.here("sync", str(file), "--list", str(list_id)).code == 0

    synced, rejected, missing = (run.here("why", who) for who in ("P1@example.com", "c2", "stranger@example.com"))

    assert "Iterable confirms it." in synced.out
    assert "Last put on the list by run" in synced.out
    assert "No email address." in rejected.out
    assert "Nothing is known here about this person." in missing.out
    assert "Iterable knows no one under this" in missing.out
