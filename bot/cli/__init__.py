"""The command `iterable-sync`.

A command must answer at once, but everything that the program can do takes seconds to import. So `main` imports only
the module of the command that was called, modules with commands import little, and each command imports what it needs
when it is called.
"""

import atexit
import os
import sys
from typing import NoReturn

from bot.cli import collector


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit. Without `args`, it is the program of this process, which then ends at once."""
    if args is None:
        collector.begin_imports()
    # pydantic would read the metadata of every installed package for plug-ins, and there are none
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    os.umask(0o077)  # files written here contain addresses
    from bot.cli.program import run  # after `begin_imports`

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
    import logging  # the command has imported it

    from bot.cli.exit_codes import ExitCode

    logging.shutdown()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the reader of the output has closed the pipe
        os._exit(ExitCode.FAILED)
    os._exit(codes[0])
