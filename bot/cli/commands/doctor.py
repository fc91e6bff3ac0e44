"""`iterable-sync doctor`: checks everything that a sync needs."""

from bot.cli import options
from bot.cli.exit_codes import ExitCode


def doctor(as_json: options.Json = False) -> ExitCode:
    """Check settings, directory, database, keys, network, clock, port and Slack. Exit code 1 if a check fails."""
    from bot.cli.doctor.checks import run_checks
    from bot.cli.json_output import CheckList
    from bot.cli.session import run_plainly

    report = CheckList() if as_json else None
    return run_plainly(lambda terminal: run_checks(terminal, report), report=report)
