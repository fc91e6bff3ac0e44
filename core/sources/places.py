"""Opening a file of this machine for a person in Slack: only in a place that the operator allows.

The path may lead elsewhere when the run begins than when it was asked for: another file was put in its place, a
directory became a symbolic link. So the check is made on what is opened, one directory after the other, and what was
opened is read.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from core.errors import InputError

NOT_ALLOWED = (
    "An audience may not be read from there. An operator adds places with ITERABLE_SYNC_AUDIENCE_PATHS; the form for a "
    "new sync says which there are."
)
_OF_PROCESS = Path("/proc/self/fd")


@contextmanager
def opened_in(folders: list[Path], path: Path, directory: Path) -> Iterator[Path]:
    """Open a file in one of these folders, and yield a path in `directory`, of the same name, that leads to it.

    `directory` exists and is ours. Raises InputError if the file is in none of the folders, or is no file.
    """
    with ExitStack() as stack:
        file = _open(stack, folders, path)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise InputError("is not a file. Choose a file in this place.", path=path.name)
        here = directory / path.name
        stack.callback(here.unlink, missing_ok=True)
        if _OF_PROCESS.is_dir():
            here.symlink_to(f"/proc/{os.getpid()}/fd/{file}")
        else:  # other systems have no path for an open file
            with os.fdopen(os.dup(file), "rb") as source, here.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
        yield here


def _open(stack: ExitStack, folders: list[Path], path: Path) -> int:
    """Open a file without following a symbolic link below its folder; returns the descriptor."""
    resolved = path.resolve()
    for folder in folders:
        place = folder.resolve()
        if not resolved.is_relative_to(place):
            continue
        if resolved == place:  # a place can be one file
            place = place.parent
        try:
            at = _kept(stack, os.open(place, os.O_RDONLY | os.O_DIRECTORY))
            *parents, name = resolved.relative_to(place).parts
            for parent in parents:
                at = _kept(stack, os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at))
            return _kept(stack, os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at))
        except FileNotFoundError:
            raise InputError("there is no such file. Check the path.", path=path.name) from None
        except PermissionError:
            raise InputError("may not be read. Give the program permission to read it.", path=path.name) from None
        except OSError:  # a part of the path is a symbolic link now, or no directory
            break
    raise InputError(NOT_ALLOWED)


def _kept(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor
