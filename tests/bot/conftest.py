"""Fixtures: the command and a local Iterable."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.cli.commands import Commands, LocalIterable, local_iterable
from tests.core.databases import new_sqlite


@pytest.fixture(scope="session")
def shared_iterable() -> Iterator[LocalIterable]:
    """One local Iterable for all tests of this process."""
    with local_iterable() as iterable:
        yield iterable


@pytest.fixture
def iterable(shared_iterable: LocalIterable) -> LocalIterable:
    """The local Iterable without faults and logged requests, but with the lists of earlier tests."""
    shared_iterable.control("DELETE", "/faults")
    shared_iterable.control("DELETE", "/requests")
    return shared_iterable


@pytest.fixture
def first(tmp_path: Path, iterable: LocalIterable) -> Commands:
    """Runs `iterable-sync` with a data directory that does not exist yet."""
    return Commands(tmp_path, iterable)


@pytest.fixture
def run(first: Commands) -> Commands:
    """Runs `iterable-sync` with its own data directory, which has a database."""
    new_sqlite(first.folder / "data")
    return first
