"""People that Iterable has forgotten are recognized by their hashes, counted in the preview, and never sent."""

import hashlib
import shutil
from pathlib import Path

import pytest

from bot.ui.membership import what_iterable_says
from core.connections import manage
from core.models.run import RunStatus
from core.planning import suppression
from core.reporting.member_lookup import look_up_member
from core.settings import FORGOTTEN
from core.store import connections
from core.store.forgotten_files import contains
from sandbox.iterable import Fault
from sandbox.iterable.faults import Action
from tests.core.databases import sampled
from tests.core.harness import LIST, Sync, people, person, syncing


def subscribed(sync: Sync) -> int:
    """How many people were sent to be subscribed."""
    return sum(each.subscribers for each in sync.iterable.state.log.find("/api/lists/subscribe", "POST"))


@pytest.mark.parametrize("project_type", sampled(["email", "userId", "hybrid"], 3))
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
        shutil.rmtree(sync.engine.settings.data_dir / FORGOTTEN)
        sync.iterable.state.forget(email="p1@example.com")
        sync.iterable.faults.add(Fault("error", status=503, path="/api/users/forgotten"))
        outcome = await sync.mirror(people(range(2)))
        assert outcome.run.status is RunStatus.SUCCEEDED
        assert outcome.run.plan is not None
        assert outcome.run.plan.forgotten == 0
        assert outcome.rejected == {"iterable_forgotten": 1}


@pytest.mark.extended
async def test_many_are_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer may be longer than any other that is read. The file has 32 bytes for each, and is compared in parts.

    It is erased with the connection.
    """
    monkeypatch.setattr(suppression, "HASHES_AT_ONCE", 100_000)
    async with syncing(tmp_path) as sync:
        emails = [f"p{number}@example.com" for number in range(0, 500_000, 2)]
        sync.iterable.state.project().forgotten_emails.update(emails)
        outcome = await sync.mirror(people(range(4)))
        assert outcome.rejected == {"iterable_forgotten": 2}
        assert sync.emails() == {"p1@example.com", "p3@example.com"}
        (file,) = (sync.engine.settings.data_dir / FORGOTTEN).iterdir()
        content = file.read_bytes()
        assert len(content) == 32 * len(emails)
        assert hashlib.sha256(b"p0@example.com").digest() in content
        async with sync.engine.database.read() as db:
            (connection,) = await connections.everyone(db)
        await manage.remove(sync.engine, connection, by="terminal", team_id=None)
        assert not file.exists()


@pytest.mark.parametrize("action", sampled(["truncated", "cut", "not_json"], 3))
async def test_answer_breaks_off(tmp_path: Path, action: Action) -> None:
    """Half of the hashes would leave people out unnoticed, so those of the last time are used."""
    async with syncing(tmp_path) as sync:
        sync.iterable.state.forget(email="p1@example.com")
        await sync.mirror(people(range(2)))
        sync.iterable.faults.add(Fault(action, path="/api/users/forgotten"))
        outcome = await sync.mirror(people(range(3)))
        assert outcome.rejected == {"iterable_forgotten": 1}
        assert outcome.run.plan is not None
        assert outcome.run.plan.forgotten == 1


@pytest.mark.parametrize("project_type", sampled(["email", "userId", "hybrid"], 3))
async def test_why_knows_the_hashes(tmp_path: Path, project_type: str) -> None:
    """Looking a forgotten person up says so, from the hashes of the last plan, without fetching them again."""
    async with syncing(tmp_path, project_type=project_type) as sync:
        sync.iterable.state.forget(email="p1@example.com", user_id="C1")
        await sync.mirror([person(0), person(1)])
        fetches = sync.iterable.state.log.total("/api/users/forgotten")
        async with sync.engine.database.read() as db:
            known = await connections.everyone(db)
        answers = {}
        for typed in ("P1@Example.com", "c1", "p0@example.com"):
            report = await look_up_member(sync.engine, known, typed, by="U1", team_id=None)
            answers[typed] = what_iterable_says(report.answers).partition(" (")[0]
        by_email = "" if project_type == "userId" else "Forgotten in Iterable"
        by_user_id = "" if project_type == "email" else "Probably forgotten in Iterable"
        assert answers["P1@Example.com"].startswith(by_email)
        assert answers["c1"].startswith(by_user_id)
        assert "orgotten" not in answers["p0@example.com"]
        assert sync.iterable.state.log.total("/api/users/forgotten") == fetches


def test_hash_counts_at_its_place_only(tmp_path: Path) -> None:
    """Bytes of two neighbors that happen to make up a hash are none."""
    digest = hashlib.sha256(b"p1@example.com").digest()
    file = tmp_path / "hashes"
    for content, expected in ((digest, True), (b"\0" * 32 + digest, True), (b"\0" + digest + b"\0" * 31, False)):
        file.write_bytes(content)
        assert contains(file, ["P1@example.com "]) is expected
    assert not contains(tmp_path / "none", ["p1@example.com"])
