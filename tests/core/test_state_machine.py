"""A state machine of the whole: whatever people, mParticle and the network do, in any order, the promises hold.

hypothesis chooses what happens, and shrinks what goes wrong to the few steps that matter. `ITERABLE_SYNC_WALKS` sets
how many walks there are for each User ID setting at the start, longer ones and others each time; without it a few are
walked, always the same.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from core import connecting, execution
from core.identity import UserIdField
from core.plan import batches
from core.runs import Mode, Run, Status
from tests.core.world import ADDRESSES, BY, FIRST, LISTS, LIVE, PEOPLE, SECOND, THIRD, Trouble, World

WALKS = int(os.environ.get("ITERABLE_SYNC_WALKS", "0"))
#: Walks for each User ID setting where nobody says how many, and steps of a walk.
FEW_WALKS, STEPS = 2, 8

TROUBLES = st.builds(
    Trouble,
    chance=st.sampled_from([0.0, 0.0, 0.3, 0.8]),
    path=st.sampled_from(["/api/", "/api/lists/subscribe", "/api/lists/unsubscribe", "/api/users/"]),
    seed=st.integers(0, 1000),
    what=st.sampled_from(["nothing", "stop", "cancel", "message", "crash", "crash applied", "crash at commit"]),
    nth=st.integers(1, 12),
)
NUMBERS = st.sampled_from(PEOPLE)
SOME = st.sets(NUMBERS, min_size=1, max_size=4)


class Machine(RuleBasedStateMachine):
    """What may happen, in any order."""

    setting = UserIdField.CUSTOMER_ID

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.temporary = tempfile.TemporaryDirectory(prefix="sm-")
        self.world = World(Path(self.temporary.name), self.setting)
        self.do(self.world.open())

    def do(self, work: Any) -> Any:
        """Do something in the machine's event loop."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Settle, and close everything."""
        try:
            self.do(self.world.settle())
        finally:
            self.do(self.world.close())
            self.runner.close()
            self.temporary.cleanup()

    @initialize(first=SOME, second=SOME, third=SOME)
    def audiences(self, first: set[int], second: set[int], third: set[int]) -> None:
        """The audiences as they are at first."""
        self.world.audiences |= {FIRST: first, SECOND: second, THIRD: third}

    @rule(number=NUMBERS, address=st.sampled_from(ADDRESSES))
    def get_address(self, number: int, address: str | None) -> None:
        """Somebody gets another address, or has none any more."""
        email = f"{address}-{number}@example.com" if address and address.startswith("own") else address
        self.world.people[number] = replace(self.world.people[number], email=email)

    @rule(one=NUMBERS, two=NUMBERS)
    def swap_addresses(self, one: int, two: int) -> None:
        """Two people get each other's address."""
        people = self.world.people
        one_email, two_email = people[one].email, people[two].email
        people[one], people[two] = replace(people[one], email=two_email), replace(people[two], email=one_email)

    @rule(name=st.sampled_from([FIRST, SECOND, THIRD]), numbers=SOME)
    def join_or_leave(self, name: str, numbers: set[int]) -> None:
        """People join an audience, or leave it."""
        self.world.audiences[name] ^= numbers

    @rule(
        name=st.sampled_from(list(LISTS)),
        how=st.sampled_from([Mode.MIRROR, Mode.MIRROR, Mode.DELTA, Mode.ADD]),
        left=SOME,
        asks=st.booleans(),
        trouble=TROUBLES,
    )
    def sync(self, name: str, how: Mode, left: set[int], asks: bool, trouble: Trouble) -> None:
        """A run of a file."""

        async def it() -> None:
            if name == LIVE and await self.world.mapping(LIVE) is None:
                return
            run_id = await self.world.queue(name, how, left, asks=asks)
            if run_id is not None:
                await self.world.execute(run_id, trouble)

        self.do(it())

    @rule(joined=SOME, left=SOME, age=st.integers(0, 3), trouble=TROUBLES, carried=st.booleans())
    def tell(self, joined: set[int], left: set[int], age: int, trouble: Trouble, carried: bool) -> None:
        """mParticle sends a message, perhaps a late one; perhaps it is carried to the list."""

        async def it() -> None:
            await self.world.tell(joined, left, age)
            if carried:
                await self.world.carry(trouble)

        self.do(it())

    @rule(nth=st.integers(0, 5))
    def repeat_message(self, nth: int) -> None:
        """mParticle sends a message again."""
        if self.world.sent:
            self.do(self.world.intake.handle(self.world.sent[nth % len(self.world.sent)]))

    @rule(trouble=TROUBLES)
    def carry(self, trouble: Trouble) -> None:
        """What waits for the live mapping is carried."""
        self.do(self.world.carry(trouble))

    @rule(
        back=st.integers(0, 3),
        what=st.sampled_from(["approve", "decline", "retry", "cancel", "undo"]),
        trouble=TROUBLES,
    )
    def change_run(self, back: int, what: str, trouble: Trouble) -> None:
        """Somebody does something to a run."""
        world = self.world

        async def it() -> None:
            found = [run for run_id in world.started if (run := await world.run(run_id)) is not None]
            fits: dict[str, Callable[[Run], bool]] = {
                "approve": lambda run: run.status is Status.NEEDS_APPROVAL,
                "decline": lambda run: run.status is Status.NEEDS_APPROVAL,
                "retry": lambda run: run.status in (Status.FAILED, Status.INTERRUPTED),
                "cancel": lambda run: run.status.is_resumable,
                "undo": lambda run: True,
            }
            chosen = [run for run in found if fits[what](run)][::-1]
            if not chosen:
                return
            run_id = chosen[back % len(chosen)].id
            if what in ("approve", "decline"):
                await world.decide(run_id, trouble, approved=what == "approve")
            elif what == "retry":
                await world.retry(run_id, trouble)
            elif what == "cancel":
                await world.cancel(run_id)
            elif (undoing := await world.undo(run_id)) is not None:
                this = await world.run(undoing)
                if trouble.seed % 3 and this is not None and this.status is Status.NEEDS_APPROVAL:
                    await world.decide(undoing, trouble, approved=True)

        self.do(it())

    @rule()
    def take_over(self) -> None:
        """A worker looks for runs of processes that died."""
        self.do(self.world.take_over())

    @rule(number=NUMBERS, by=st.sampled_from(["mpid", "email", "customer_id"]))
    def erase(self, number: int, by: str) -> None:
        """Somebody asks to be forgotten."""
        self.do(self.world.erase(number, by))

    @rule()
    def change_setting(self) -> None:
        """Somebody changes the User ID setting of the connection."""
        world = self.world
        world.setting = UserIdField.MPID if world.setting is UserIdField.CUSTOMER_ID else UserIdField.CUSTOMER_ID

        async def it() -> None:
            known = await world.connection()
            await connecting.change(world.engine, known, by=BY, team_id=None, user_id=world.setting)

        self.do(it())

    @rule(late=st.booleans())
    def rotate_key(self, late: bool) -> None:
        """Somebody replaces the API key."""
        self.do(self.world.rotate(late=late))

    @rule()
    def settle(self) -> None:
        """A time of quiet."""
        self.do(self.world.settle())

    @invariant()
    def holds(self) -> None:
        """What has to be so after each step."""
        self.do(self.world.check())


@pytest.mark.parametrize("setting", UserIdField)
def test_whatever_happens(monkeypatch: pytest.MonkeyPatch, setting: UserIdField) -> None:
    """After each step the numbers add up and the ledger is what the lists hold, and quiet brings the lists in order."""
    monkeypatch.setattr(batches, "BATCH_SIZE", 2)
    monkeypatch.setattr(execution, "LOOK_AGAIN_S", 0.1)
    monkeypatch.setattr(Machine, "setting", setting)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=WALKS or FEW_WALKS,
            stateful_step_count=STEPS if not WALKS else 2 * STEPS,
            derandomize=not WALKS,
            database=None,
            deadline=None,
            print_blob=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
