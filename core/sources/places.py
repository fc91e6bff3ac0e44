"""Opening files of this machine for people in Slack, only in places that the operator allows.

A path may lead elsewhere when the run begins than when it was requested: another file may have replaced it, or a
directory may have become a symbolic link. So the directories are opened one after the other, what was opened is
checked, and the opened file is read.
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
def open_in(folders: list[Path], path: Path, directory: Path) -> Iterator[Path]:
    """Open a file in one of these folders, and yield a path to it: in `directory`, with the same name.

    `directory` exists, and only this program uses it. Raises InputError if the file is in none of the folders, or is
    not a regular file.
    """
    with ExitStack() as stack:
        file = _open(stack, folders, path)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise InputError("is not a file. Choose a file in this place.", path=path.name)
        link = directory / path.name
        stack.callback(link.unlink, missing_ok=True)
        if _OF_PROCESS.is_dir():
            link.symlink_to(f"/proc/{os.getpid()}/fd/{file}")
        else:  # other systems have no path for an open file
            with os.fdopen(os.dup(file), "rb") as source, link.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
        yield link


def _open(stack: ExitStack, folders: list[Path], path: Path) -> int:
    """Open a file without following a symbolic link below its folder, and return the descriptor.

    The stack closes it. Raises InputError if the file can't be opened, or is in none of the folders.
    """
    resolved = path.resolve()
    for folder in folders:
        place = folder.resolve()
        if not resolved.is_relative_to(place):
            continue
        if resolved == place:  # a place can be one file
            place = place.parent
        try:
            directory = _close_with(stack, os.open(place, os.O_RDONLY | os.O_DIRECTORY))
            *parents, name = resolved.relative_to(place).parts
            for parent in parents:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                directory = _close_with(stack, os.open(parent, flags, dir_fd=directory))
            return _close_with(stack, os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory))
        except FileNotFoundError:
            raise InputError("there is no such file. Check the path.", path=path.name) from None
        except PermissionError:
            raise InputError("may not be read. Give the program permission to read it.", path=path.name) from None
        except OSError:  # a part of the path has become a symbolic link, or is not a directory
            break
    raise InputError(NOT_ALLOWED)


def _close_with(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor
