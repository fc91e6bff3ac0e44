"""The command line adds a command to type to the messages of core, by the error's code."""

from pathlib import Path

from bot.cli.remediation import remediation
from core.errors import EarlierRunAwaitingApprovalError, EarlierRunFailedError
from tests.bot.cli.commands import Commands

EARLIER = "k3v9m2x7qa"


def test_commands_name_the_earlier_run() -> None:
    """The printed commands are complete, so that a person can copy them."""
    assert "  To approve it:  iterable-sync runs resume k3v9m2x7qa --yes\n" in remediation(
        EarlierRunAwaitingApprovalError.code, EARLIER
    )
    assert remediation(EarlierRunFailedError.code, EARLIER).endswith("iterable-sync runs cancel k3v9m2x7qa")
    assert not remediation("error", EARLIER)


def test_one_of_several_audiences(run: Commands, tmp_path: Path) -> None:
    """A file with several audiences is refused, and the error names the option that chooses one."""
    file = tmp_path / "several.csv"
    file.write_text("mpid,email,audience_id,audience_name\n1,p1@example.com,11,One\n2,p2@example.com,22,Two\n")

    refused = run.here("sync", file, "--list", 1001, "--json")

    assert refused.code == 2
    assert "One (11), Two (22). Choose one of them. Choose it with --audience" in refused.err
