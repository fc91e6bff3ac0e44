"""The command `iterable-sync`.

A command must answer at once, but everything that the program can do takes seconds to import. So `main` imports only
the module of the command that was called, modules with commands import little, and each command imports what it needs
when it is called.
"""

import atexit
import gc
import os
import sys
from typing import NoReturn

# The number of new objects after which Python searches for cycles (its default is 700). Imports and syncs create many
# objects and few cycles, so that frequent searches cost more than they free.
GC_THRESHOLD = 50_000


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit. Without `args`, it is the program of this process, which then ends at once."""
    gc.set_threshold(GC_THRESHOLD)
    os.umask(0o077)  # files written here contain addresses
    from bot.cli.program import run  # after the threshold is set

    if args is not None:
        sys.exit(run(args))
    codes: list[int] = []
    atexit.register(_leave, codes)  # what is registered first is called last
    codes.append(run(sys.argv[1:]))
    sys.exit(codes[0])


def _leave(codes: list[int]) -> None:
    """End the process without freeing modules and objects one by one: that takes a fifth of the CPU of a command."""
    if not codes:  # an unexpected error
        return
    import logging  # with all else that is imported after the threshold is set

    from bot.cli.exit_codes import ExitCode

    logging.shutdown()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the reader of the output has closed the pipe
        os._exit(ExitCode.FAILED)
    os._exit(codes[0])
