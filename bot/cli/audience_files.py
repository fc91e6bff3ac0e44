"""The sources that FILE names on the command line: files, folders, patterns, addresses, and standard input."""

import glob
import re
import shutil
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from core.errors import InputError
from core.settings import STANDARD_INPUT
from core.sources.fetch import SCHEMES, scheme_of

_PATTERN = re.compile(r"[*?\[]")


def addresses(texts: Sequence[str], data_dir: Path, standard_input: BinaryIO | None = None) -> list[str]:
    """Return absolute paths and addresses: a run may be resumed from another directory.

    `-` is standard input, which is written to a file in `data_dir` first. Raises InputError for a file that does not
    exist.
    """
    sources: list[str] = []
    for text in texts:
        if text == "-":
            sources.append(str(_saved(data_dir, standard_input or sys.stdin.buffer)))
        elif scheme_of(text) == "file":
            sources += _paths(unquote(urlsplit(text).path), text)
        elif (scheme := scheme_of(text)) and "://" in text:
            if scheme not in SCHEMES:
                known = ", ".join(f"{each}://" for each in SCHEMES)
                raise InputError(f"audiences can't be read from {scheme}://, but from files, {known}.", path=text)
            sources.append(text)
        else:
            sources += _paths(text, text)
    return sources


def absolute(text: str) -> str:
    """Return the place of a source as an absolute path, or an address as it is. The place may be a pattern."""
    return text if scheme_of(text) else str(Path(text).expanduser().absolute())


def remove_saved(paths: Sequence[str], data_dir: Path) -> None:
    """Remove the file that was written for standard input, because its run has ended."""
    for path in map(Path, paths):
        if path.parent.parent == data_dir / STANDARD_INPUT:
            shutil.rmtree(path.parent, ignore_errors=True)


def _paths(text: str, shown: str) -> list[str]:
    try:
        path = Path(text).expanduser()
        if path.exists():
            return [str(path.absolute())]
        if _PATTERN.search(text):
            matching = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  # the pattern may be absolute
            if matching:
                return [str(Path(match).absolute()) for match in matching]
            raise InputError("no file matches this pattern. Check it.", path=shown)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError("can't be opened. Check the path.", path=shown) from error
    raise InputError("there is no such file. Check the path.", path=shown)


def _saved(data_dir: Path, stream: BinaryIO) -> Path:
    folder = data_dir / STANDARD_INPUT / uuid.uuid4().hex
    folder.mkdir(mode=0o700, parents=True)
    path = folder / "standard-input"
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
    return path
