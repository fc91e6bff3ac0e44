"""The command and a local Iterable, as fixtures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.cli.commands import Commands, LocalIterable, local_iterable


@pytest.fixture(scope="session")
def shared_iterable() -> Iterator[LocalIterable]:
    """One local Iterable for all tests of this process."""
    with local_iterable() as found:
        yield found


@pytest.fixture
def iterable(shared_iterable: LocalIterable) -> LocalIterable:
    """The local Iterable as it is at its start, but with the lists of tests before."""
    shared_iterable.control("DELETE", "/faults")
    shared_iterable.control("DELETE", "/requests")
    return shared_iterable


@pytest.fixture
def run(tmp_path: Path, iterable: LocalIterable) -> Commands:
    """Runs `iterable-sync` with a data directory of its own."""
    return Commands(tmp_path, iterable)
