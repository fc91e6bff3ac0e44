"""`iterable-sync doctor`: looks at everything that a sync needs, and says what is wrong and what to do."""

from bot.cli.codes import Code


def doctor() -> Code:
    """Check settings, data directory, database, keys, reachability, clock and Slack. Exit code 1 if one is wrong."""
    from bot.cli.checkup import examine
    from bot.cli.command import run_plainly

    return run_plainly(examine)
