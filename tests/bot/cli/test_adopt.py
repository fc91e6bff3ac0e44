"""`iterable-sync mappings adopt`: the steps of docs/howto/migrate-from-mparticle.md, from start to end."""

from tests.bot.cli.commands import Commands


def test_migration_step_by_step(run: Commands) -> None:
    """The numbers come first and send nothing; then the list is taken over, and the next sync is an ordinary one."""
    list_id = run.iterable.new_list()
    hosted = run.folder / "hosted.csv"
    hosted.write_text("mpid,email\n1,p1@example.com\n2,\n9,p9@example.com\n")
    assert run.here("connections", "add", "hosted", "--user-id", "mpid").code == 0
    assert run.here("sync", str(hosted), "--list", str(list_id), "--connection", "hosted").code == 0
    assert run.here("mappings", "remove", "1", "--yes").code == 0  # what is left is a list that is not ours
    audience = run.folder / "audience.csv"
    audience.write_text("mpid,email\n1,p1@example.com\n2,p2@example.com\n3,p3@example.com\n")
    add = ("mappings", "add", "--list", str(list_id), "--audience", "Spring", "--connection", "hosted")
    mapping = run.here(*add).out.split()[1].strip(":")
    adopt = ("mappings", "adopt", mapping, str(audience), "--others", "remove")

    tried, refused, done = run.here(*adopt, "--dry-run"), run.here(*adopt), run.here(*adopt, "--yes")

    assert "3 people are on it: 2 belong to the audience, and 1 would be removed." in " ".join(tried.out.split())
    assert refused.code == 3
    assert done.code == 0, done.err
    assert run.iterable.emails(list_id) == {"p1@example.com", "p2@example.com", "p3@example.com"}
    again = run.here("sync", str(audience), "--list", str(list_id), "--connection", "hosted")
    assert "3  unchanged" in again.out
