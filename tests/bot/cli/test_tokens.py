"""`iterable-sync tokens` on the command line."""

from bot.cli.exit_codes import ExitCode
from tests.bot.cli.commands import Commands


def test_tokens(run: Commands) -> None:
    """A token is printed once, alone on standard output; then it is listed, and revoked."""
    made = run.here("tokens", "create", "airflow", "--scope", "read", "--scope", "run")
    secret = made.out.strip()
    assert secret.startswith("isync_")
    assert "Store it now" in made.err
    listed = run.here("tokens", "list").out
    assert "airflow" in listed
    assert "read, run" in listed
    assert secret not in listed
    assert run.here("tokens", "create", "airflow", "--scope", "read").code == ExitCode.BAD_INPUT
    assert run.here("tokens", "revoke", "airflow").code == ExitCode.OK
    assert "There are no tokens" in run.here("tokens", "list").out
    assert run.here("tokens", "revoke", "airflow").code == ExitCode.BAD_INPUT
