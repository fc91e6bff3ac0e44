"""People that Iterable has forgotten are recognized by their hashes, counted in the preview, and never sent."""

from pathlib import Path

import pytest

from core.models.run import RunStatus
from sandbox.iterable import Fault
from tests.core.harness import LIST, Sync, people, person, syncing


def subscribed(sync: Sync) -> int:
    """How many people were sent to be subscribed."""
    return sum(each.subscribers for each in sync.iterable.state.log.find("/api/lists/subscribe", "POST"))


@pytest.mark.parametrize("project_type", ["email", "userId", "hybrid"])
async def test_never_sent(tmp_path: Path, project_type: str) -> None:
    """They are rejected by the plan, whatever the case of the address, and no request carries them."""
    async with syncing(tmp_path, project_type=project_type) as sync:
        sync.iterable.state.forget(email="p1@example.com", user_id="c1")
        audience = [person(0), person(1, email="P1@example.com")]
        preview = await sync.mirror(audience, dry_run=True)
        assert preview.run.plan is not None
        assert (preview.run.plan.rejected, preview.run.plan.forgotten) == (1, 1)
        outcome = await sync.mirror(audience)
        assert outcome.rejected == {"iterable_forgotten": 1}
        assert outcome.counts == {"members": 2, "added": 1, "rejected": 1}
        assert subscribed(sync) == 1


async def test_forgotten_after_the_sync(tmp_path: Path) -> None:
    """Who is forgotten while on the list counts as rejected from then on, and is taken off as a leaver."""
    async with syncing(tmp_path) as sync:
        await sync.mirror(people(range(3)))
        sync.iterable.state.forget(email="p1@example.com")
        outcome = await sync.mirror(people(range(3)))
        assert (outcome.counts, outcome.run.requests) == ({"members": 3, "unchanged": 2, "rejected": 1}, 0)
        left = await sync.mirror([person(0), person(2)])
        assert left.counts == {"members": 2, "left": 1, "unchanged": 2, "removed": 1}


async def test_new_address_that_is_forgotten(tmp_path: Path) -> None:
    """The former address leaves the list; the forgotten one is not sent."""
    async with syncing(tmp_path) as sync:
        await sync.mirror(people(range(2)))
        sync.iterable.state.forget(email="gone@example.com")
        outcome = await sync.mirror([person(0), person(1, email="gone@example.com")])
        assert outcome.rejected == {"iterable_forgotten": 1}
        assert outcome.counts == {"members": 2, "unchanged": 1, "rejected": 1}
        assert sync.iterable.state.members(LIST) == [("p0@example.com", "c0")]
        assert subscribed(sync) == 2


async def test_hashes_can_not_be_fetched(tmp_path: Path) -> None:
    """The plan is made without them, and Iterable rejects these people itself."""
    async with syncing(tmp_path) as sync:
        await sync.mirror(people(range(1)))
        sync.engine.forgotten.clear()
        sync.iterable.state.forget(email="p1@example.com")
        sync.iterable.faults.add(Fault("error", status=503, path="/api/users/forgotten"))
        outcome = await sync.mirror(people(range(2)))
        assert outcome.run.status is RunStatus.SUCCEEDED
        assert outcome.run.plan is not None
        assert outcome.run.plan.forgotten == 0
        assert outcome.rejected == {"iterable_forgotten": 1}
