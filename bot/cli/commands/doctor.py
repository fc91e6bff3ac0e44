"""`iterable-sync doctor`: looks at everything that a sync needs, and says what is wrong and what to do."""

from bot.cli.exit_codes import ExitCode


def doctor() -> ExitCode:
    """Check settings, data directory, database, keys, reachability, clock and Slack. Exit code 1 if one is wrong."""
    from bot.cli.doctor.checks import run_checks
    from bot.cli.session import run_plainly

    return run_plainly(run_checks)
