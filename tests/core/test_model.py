"""Random walks: whatever audiences, faults and stops follow each other, the list ends as a simple reference says.

A seed makes each walk repeatable. `ITERABLE_SYNC_WALKS` sets the number of walks for each User ID setting.
"""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.identity import Profile as Identities
from core.identity import Subscriber, UserIdField, resolve_subscriber
from core.planning import batching
from core.runs import worker
from core.store import runs
from sandbox.iterable import Fault
from tests.core.harness import LIST, OTHER_LIST, WALKS, Member, Outcome, RunStatus, Sync, syncing
from tests.core.world.faults import HASTY, Trip

#: Disturbed runs in an episode, which ends with undisturbed runs and a comparison of the lists; and episodes in a walk.
DISTURBED, EPISODES = 3, 2

PEOPLE = range(1, 19)
ADDRESSES = [f"e{number}@example.com" for number in range(14)]
UNUSABLE = [None, "broken", "no-dot@example"]
REFUSED = ["refused@forgotten.test", "refused@conflict.test"]
STRANGER = "stranger@elsewhere.example.com"

#: The mappings of the walk: the name of the audience, and its list.
MAPPINGS = {"first": LIST, "second": LIST, "third": OTHER_LIST}


class Walk:
    """A world of people whose identities change, with audiences that they join and leave, and runs of all kinds."""

    def __init__(self, sync: Sync, field: UserIdField, seed: str) -> None:
        self.sync = sync
        self.field = field
        self.random = random.Random(seed)
        self.people = {number: self.random_member(number) for number in PEOPLE}
        self.audiences = {name: set(self.random.sample(PEOPLE, 8)) for name in MAPPINGS}
        # All addresses that each mapping has ever had for each member: one who can't be mapped now may still be on the
        # list.
        self.known_emails: dict[str, dict[int, set[str]]] = {name: {} for name in MAPPINGS}

    def random_member(self, number: int) -> Member:
        """A member with random identities."""
        return Member(number, self.random_address(), f"c{number}" if self.random.random() < 0.8 else None)

    def random_address(self) -> str | None:
        """Mostly a good address, often one that another person has."""
        chosen = self.random.random()
        if chosen < 0.2:
            return self.random.choice(UNUSABLE)
        return self.random.choice(REFUSED) if chosen < 0.25 else self.random.choice(ADDRESSES)

    def change_people(self) -> None:
        """Change identities and audiences."""
        for number in self.random.sample(PEOPLE, 3):
            self.people[number] = replace(self.people[number], email=self.random_address())
        one, two = self.random.sample(PEOPLE, 2)
        emails = self.people[one].email, self.people[two].email
        self.people[one] = replace(self.people[one], email=emails[1])
        self.people[two] = replace(self.people[two], email=emails[0])
        for audience in self.audiences.values():
            audience ^= set(self.random.sample(PEOPLE, 3))
            audience.add(self.random.choice(PEOPLE))

    def email_of(self, member: Member) -> str | None:
        """The address under which a member is on the list, by the identity rule."""
        mapped = resolve_subscriber(Identities(member.mpid, member.email, member.customer_id), self.field)
        return mapped.email if isinstance(mapped, Subscriber) else None

    def source(self, name: str) -> tuple[Path, dict[str, Any]]:
        """Write the source of a mapping's next run, in a random mode."""
        present = [self.people[number] for number in sorted(self.audiences[name])]
        self.random.shuffle(present)
        mode = self.random.choice(["mirror", "mirror", "delta", "add"])
        members = present
        if mode == "delta":
            members = self.random.sample(present, len(present) // 2)
            absent = [member for number, member in self.people.items() if number not in self.audiences[name]]
            file = self.sync.delta_file(members, self.random.sample(absent, min(4, len(absent))), name)
        else:
            file = self.sync.mirror_file(present, name)
        self.remember(name, members)
        return file, {"mode": "add"} if mode == "add" else {}

    def remember(self, name: str, members: list[Member]) -> None:
        """Record the addresses of a mapping's members."""
        for member in members:
            if email := self.email_of(member):
                self.known_emails[name].setdefault(member.mpid, set()).add(email)

    def disturb(self, run_id: str) -> None:
        """Choose the faults of the next run."""
        chance = self.random.choice([0.0, 0.15, 0.4, 0.8])
        path = self.random.choice(["/api/", "/api/lists/subscribe", "/api/lists/unsubscribe", "/api/users/"])
        faults = [
            Fault("reset", path=path, probability=chance / 2),
            Fault("reset", path=path, probability=chance / 2, applied=True),
            Fault("error", path=path, probability=chance / 2, status=503),
            Fault("html", path=path, probability=chance / 4),
            Fault("truncated", path=path, probability=chance / 4),
        ]
        if self.random.random() < 0.3:
            faults.insert(0, Trip(self.sync.engine.stopping.set, self.random.randint(1, 5)))
        self.sync.iterable.faults.set(faults, seed=self.random.randint(0, 10**9))

    async def disturbed_run(self) -> None:
        """Execute a run with faults; then perhaps resume, cancel or leave it."""
        name = self.random.choice(list(MAPPINGS))
        file, options = self.source(name)
        run_id = await self.submit(name, file, options)
        execution = worker.start(self.sync.engine, run_id)
        while True:
            self.disturb(run_id)
            await execution
            self.sync.engine.stopping.clear()
            outcome = await self.sync.outcome(run_id)
            assert_exact(outcome)
            if not outcome.run.status.is_resumable or self.random.random() < 0.5:
                break
            execution = worker.resume(self.sync.engine, run_id)
        if outcome.run.status.is_resumable and self.random.random() < 0.3:
            async with self.sync.engine.database.write() as db:
                await runs.set_status(db, run_id, RunStatus.CANCELLED)

    async def submit(self, name: str, file: Path, options: dict[str, Any]) -> str:
        """Queue a run without faults."""
        self.sync.iterable.faults.clear()
        return await self.sync.submit(
            file, list_id=MAPPINGS[name], audience=name, user_id=self.field, approved=True, **options
        )

    async def quiet_mirror(self, name: str) -> Outcome:
        """Execute a mirror without faults, and check that it removes only people who are off the list at the end."""
        present = [self.people[number] for number in sorted(self.audiences[name])]
        self.remember(name, present)
        run_id = await self.submit(name, self.sync.mirror_file(present, name), {})
        mailing_list = self.sync.iterable.state.lists[MAPPINGS[name]]
        seen = len(mailing_list.events)
        await worker.start(self.sync.engine, run_id)
        outcome = await self.sync.outcome(run_id)
        assert outcome.run.status is RunStatus.SUCCEEDED, outcome.run.error
        assert_exact(outcome)
        left = {number for event in mailing_list.events[seen:] if not event.joined for number in event.numbers}
        assert not left & mailing_list.members
        return outcome

    async def settle(self) -> None:
        """Mirror all audiences without faults, and compare the lists with the reference."""
        for name in MAPPINGS:
            await self.quiet_mirror(name)
        for list_id in sorted(set(MAPPINGS.values())):
            self.compare(list_id)
        for name in MAPPINGS:
            again = await self.quiet_mirror(name)
            refused = sum(self.people[number].email in REFUSED for number in self.audiences[name])
            assert refused or again.run.requests == 0

    def compare(self, list_id: int) -> None:
        """Check that a list has the right subscribers."""
        required, possible = {STRANGER}, set()
        for name in (name for name, fed in MAPPINGS.items() if fed == list_id):
            for number in self.audiences[name]:
                email = self.email_of(self.people[number])
                if email is None:
                    possible |= self.known_emails[name].get(number, set())
                elif email not in REFUSED:
                    required.add(email)
        emails = self.sync.emails(list_id)
        assert emails - possible == required - possible
        assert emails >= required


def assert_exact(outcome: Outcome) -> None:
    """Check that the numbers of a run that succeeded add up, and match its rejections."""
    if outcome.run.status is RunStatus.SUCCEEDED:
        assert outcome.run.counters.missing == 0
        assert sum(outcome.rejected.values()) == outcome.run.counters.rejected
    else:
        assert outcome.run.error_code not in ("unexpected", "storage", "not_accounted_for"), outcome.run.error


@pytest.mark.extended
@pytest.mark.parametrize("field", list(UserIdField))
@pytest.mark.parametrize("number", range(WALKS))
async def test_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: UserIdField, number: int) -> None:
    """After any disturbance, undisturbed mirrors make the lists equal, and the next ones send nothing."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 2)
    async with syncing(tmp_path, retry_policy=HASTY) as sync:
        for list_id in (LIST, OTHER_LIST):
            await sync.subscribe_by_hand(STRANGER, list_id)
        walk = Walk(sync, field, f"{field}:{number}")
        for _ in range(EPISODES):
            for _ in range(DISTURBED):
                walk.change_people()
                await walk.disturbed_run()
            await walk.settle()
