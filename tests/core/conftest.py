"""Fixtures of the core's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.store import doubts
from core.store.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with all tables."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture(scope="session", autouse=True)
def no_late_requests() -> Iterator[None]:
    """What a killed process of a test has sent has arrived: its batches are in doubt for the next sync only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doubts, "ENDED_S", 0.0)
        yield


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bucket `exports` in a local server, found as Amazon's own tools find it."""
    from tests.core.sources import servers

    yield from servers.s3(monkeypatch)


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bucket `exports` in a local server, found by the variable of Google's own libraries."""
    from tests.core.sources import servers

    yield from servers.gcs(monkeypatch)


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A container `exports` in a local server, found by the variable of Azure's own tools."""
    from tests.core.sources import servers

    yield from servers.azure(tmp_path, monkeypatch)


@pytest.fixture
def sftp() -> Any:
    """The module with the SFTP server. It imports paramiko, which takes a third of a second."""
    return pytest.importorskip("tests.core.sources.sftp_server")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the user, without known servers."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path
