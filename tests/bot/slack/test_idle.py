"""A process executes few statements while nothing happens."""

from pathlib import Path

import pytest

from tests.benchmarks.idle import Idleness, count_statements
from tests.core.databases import new_postgresql, without

# What an idle process may execute in a second (docs/decisions/0006-run-queue.md).
MOST_A_SECOND = 3.0
# For so long that everything is looked at once.
SECONDS = 60.0


@pytest.mark.extended
@pytest.mark.parametrize("idle", [Idleness(live=200, scheduled=20, shown=20), Idleness(live=200, scheduled=20)])
async def test_idle_statements(tmp_path: Path, postgresql_server: str, idle: Idleness) -> None:
    """An idle process executes fewer than three statements a second, with and without Slack."""
    url = new_postgresql(postgresql_server)
    counts = await count_statements(tmp_path, url, idle, SECONDS)
    assert counts.total() < MOST_A_SECOND * SECONDS, counts.most_common(12)
    without(postgresql_server, url)
