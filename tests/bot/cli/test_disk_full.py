"""A command whose output does not fit on the disk reports it, and leaves no partial file."""

from pathlib import Path

import pytest

from tests.bot.cli.commands import Commands, LocalIterable
from tests.core.storage import small_disk


@pytest.mark.extended
def test_rejected_members_do_not_fit(run: Commands, iterable: LocalIterable, tmp_path: Path) -> None:
    """If the disk has no room for the rejected members, the command reports it and leaves no file."""
    without_email = [f",customer-{number:040}" for number in range(30_000)]
    audience = run.audience(range(2), *without_email)
    summary = run.here("sync", audience, "--list", iterable.new_list(), "--yes", "--json").object
    assert summary["rejected"] == len(without_email)
    with small_disk(tmp_path / "small", 1) as small:
        result = run.here("runs", "rejects", summary["run_id"], "--csv", small / "rejected.csv")
        assert result.code != 0
        assert "No space left" in result.err
        assert not list(small.iterdir())
    assert run.here("runs", "rejects", summary["run_id"], "--csv", tmp_path / "rejected.csv").code == 0
