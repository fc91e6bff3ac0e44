"""`iterable-sync doctor`: checks everything that a sync needs."""

from bot.cli.exit_codes import ExitCode


def doctor() -> ExitCode:
    """Check settings, data directory, database, keys, reachability, clock and Slack. Exit code 1 if a check fails."""
    from bot.cli.doctor.checks import run_checks
    from bot.cli.session import run_plainly

    return run_plainly(run_checks)
