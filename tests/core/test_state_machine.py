"""A state machine of the whole: whatever people, mParticle and the network do, in any order, the promises hold.

hypothesis chooses what happens, and shrinks what goes wrong to the few steps that matter. `ITERABLE_SYNC_WALKS` sets
how many walks there are on each database, with and without the queue, longer ones and others each time; without it a
few are walked, always the same.
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

from core.identity import UserIdField
from core.models.run import Run, RunStatus, SyncMode
from core.planning import batching
from core.runs import cancellation
from core.store.mappings import RemovalPolicy
from tests.core.world import checks, decisions, mparticle, runs
from tests.core.world.faults import Trouble
from tests.core.world.meddling import MEDDLERS
from tests.core.world.people import ADDRESSES, FIRST, LISTS, LIVE, PEOPLE, SECOND, THIRD
from tests.core.world.process import World
from tests.core.world.sources import Shape
from tests.core.world.storage import Postgresql, Sqlite

WALKS = int(os.environ.get("ITERABLE_SYNC_WALKS", "0"))
#: Walks of each kind where nobody says how many (the first of which is short), and steps of such a walk and of others.
FEW_WALKS, FEW_STEPS, STEPS = 2, 6, 16
#: A step that takes longer, in seconds, never ends.
ENDLESS_S = 300.0

DEATHS = ["crash", "crash applied", "crash at commit"]
TROUBLES = st.builds(
    Trouble,
    chance=st.sampled_from([0.0, 0.0, 0.3, 0.8]),
    path=st.sampled_from(["/api/", "/api/lists/subscribe", "/api/lists/unsubscribe", "/api/users/"]),
    seed=st.integers(0, 1000),
    what=st.sampled_from(["nothing", "nothing", "stop", *DEATHS, *MEDDLERS]),
    nth=st.integers(1, 12),
)
NUMBERS = st.sampled_from(PEOPLE)
SOME = st.sets(NUMBERS, min_size=1, max_size=4)
NAMES = st.sampled_from(list(LISTS))
HOW = st.sampled_from([SyncMode.MIRROR, SyncMode.MIRROR, SyncMode.DELTA, SyncMode.ADD])
SHAPES = st.sampled_from([Shape.TABLE, Shape.TABLE, Shape.DOWNLOAD, Shape.KEYLESS])


class Machine(RuleBasedStateMachine):
    """What may happen, in any order."""

    #: The address of a PostgreSQL server; None: SQLite.
    server: str | None = None
    queued = False

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.temporary = tempfile.TemporaryDirectory(prefix="sm-")
        self.world: World | None = None
        self.downloads: list[runs.File] = []
        self.is_sound = True

    def do(self, work: Any) -> Any:
        """Do something in the machine's event loop."""
        self.is_sound = False
        result = self.runner.run(asyncio.wait_for(work, ENDLESS_S))
        self.is_sound = True
        return result

    def teardown(self) -> None:
        """Settle, where nothing has gone wrong so far, and close everything."""
        try:
            if self.world is not None and self.is_sound:
                self.do(checks.settle(self.world))
        finally:
            if self.world is not None:
                self.do(self.world.close())
            self.runner.close()
            self.temporary.cleanup()

    @initialize(setting=st.sampled_from(UserIdField), first=SOME, second=SOME, third=SOME)
    def begin(self, setting: UserIdField, first: set[int], second: set[int], third: set[int]) -> None:
        """A world, with its audiences as they are at first."""
        directory = Path(self.temporary.name)
        storage = Sqlite(directory / "database") if self.server is None else Postgresql(self.server)
        world = self.world = World(directory, storage, setting, MEDDLERS, queued=self.queued)
        self.do(world.open())
        self.do(decisions.propose_second(world))
        world.truth.audiences |= {FIRST: first, SECOND: second, THIRD: third}

    # people change

    @rule(number=NUMBERS, address=st.sampled_from(ADDRESSES))
    def get_address(self, number: int, address: str | None) -> None:
        """Somebody gets another address, or has none any more."""
        email = f"{address}-{number}@example.com" if address and address.startswith("own") else address
        self.people[number] = replace(self.people[number], email=email)

    @rule(one=NUMBERS, two=NUMBERS)
    def swap_addresses(self, one: int, two: int) -> None:
        """Two people get each other's address."""
        emails = self.people[one].email, self.people[two].email
        self.people[one] = replace(self.people[one], email=emails[1])
        self.people[two] = replace(self.people[two], email=emails[0])

    @rule(number=NUMBERS, kind=st.sampled_from(["c", "d", None]))
    def get_customer_id(self, number: int, kind: str | None) -> None:
        """Somebody gets another customer id, or has none any more."""
        self.people[number] = replace(self.people[number], customer_id=kind and f"{kind}{number}")

    @rule(name=st.sampled_from([FIRST, SECOND, THIRD]), numbers=SOME)
    def join_or_leave(self, name: str, numbers: set[int]) -> None:
        """People join an audience, or leave it."""
        self.there.truth.audiences[name] ^= numbers

    # files

    @rule(name=NAMES, how=HOW, shape=SHAPES, left=SOME, asks=st.booleans(), trouble=TROUBLES)
    def sync(self, name: str, how: SyncMode, shape: Shape, left: set[int], asks: bool, trouble: Trouble) -> None:
        """A run of a file."""
        self.do(self._sync(name, how, shape, left, asks, trouble))

    async def _sync(self, name: str, how: SyncMode, shape: Shape, left: set[int], asks: bool, trouble: Trouble) -> None:
        world = self.there
        if await self.is_known(name):
            file = runs.write(world, name, how, shape, left)
            if file.at is not None:
                self.downloads.append(file)
            await runs.sync(world, file, how, asks=asks, trouble=trouble)

    @rule(one=NAMES, two=NAMES, how=HOW, left=SOME, beside=st.booleans(), trouble=TROUBLES)
    def sync_two(self, one: str, two: str, how: SyncMode, left: set[int], beside: bool, trouble: Trouble) -> None:
        """Two runs at once, perhaps of one list, perhaps by two processes."""

        async def it() -> None:
            world, queued = self.there, []
            for name, this_how in ((one, how), (two, SyncMode.MIRROR)):
                if await self.is_known(name):
                    file = runs.write(world, name, this_how, Shape.TABLE, left)
                    queued.append(await runs.queue(world, file, this_how, asks=True))
            if found := [run_id for run_id in queued if run_id is not None]:
                await runs.carry_out(world, *found, trouble=trouble, beside=beside)

        self.do(it())

    @rule(nth=st.integers(0, 5), trouble=TROUBLES)
    def sync_older(self, nth: int, trouble: Trouble) -> None:
        """A download that is older than what was synced since is synced again."""
        if self.downloads:
            self.do(runs.sync_older(self.there, self.downloads[nth % len(self.downloads)], trouble))

    @rule(
        back=st.integers(0, 3),
        what=st.sampled_from(["approve", "approve", "decline", "retry", "retry rejected", "cancel", "undo"]),
        trouble=TROUBLES,
    )
    def change_run(self, back: int, what: str, trouble: Trouble) -> None:
        """Somebody does something to a run."""
        world = self.there

        async def it() -> None:
            fits: dict[str, Callable[[Run], bool]] = {
                "approve": lambda run: run.status is RunStatus.NEEDS_APPROVAL,
                "decline": lambda run: run.status is RunStatus.NEEDS_APPROVAL,
                "retry": lambda run: run.status in (RunStatus.FAILED, RunStatus.INTERRUPTED),
                "retry rejected": lambda run: run.counters.rejected > 0,
                "cancel": lambda run: run.status.is_resumable,
                "undo": lambda run: True,
            }
            chosen = [run for run in await world.runs() if fits[what](run)][::-1]
            if not chosen:
                return
            run_id = chosen[back % len(chosen)].id
            if what in ("approve", "decline"):
                await runs.decide(world, run_id, trouble, approved=what == "approve")
            elif what == "retry":
                await runs.retry(world, run_id, trouble)
            elif what == "retry rejected":
                await runs.retry_rejected(world, run_id, trouble)
            elif what == "cancel":
                await runs.cancel(world, run_id)
            else:
                await runs.take_back(world, run_id, trouble)

        self.do(it())

    @rule()
    def take_over(self) -> None:
        """A worker looks for runs of processes that died."""
        self.do(runs.take_over(self.there))

    # mParticle

    @rule(
        joined=SOME,
        left=SOME,
        age=st.sampled_from([0, 0, 0, 1, 2, 3]),
        kind=st.sampled_from(["plain", "plain", "plain", "hashed", "keyless"]),
        carried=st.booleans(),
        trouble=TROUBLES,
    )
    def tell(self, joined: set[int], left: set[int], age: int, kind: str, carried: bool, trouble: Trouble) -> None:
        """mParticle sends a message, perhaps a late one; perhaps it is carried to the list."""
        self.do(mparticle.tell(self.there, joined, left, age, hashed=kind == "hashed", keyless=kind == "keyless"))
        if carried:
            self.do(mparticle.carry(self.there, trouble))

    @rule(nth=st.integers(0, 5))
    def repeat_message(self, nth: int) -> None:
        """mParticle sends a message again."""
        self.do(mparticle.repeat(self.there, nth))

    @rule(trouble=TROUBLES)
    def carry(self, trouble: Trouble) -> None:
        """What waits for the live mapping is carried."""
        self.do(mparticle.carry(self.there, trouble))

    @rule(
        joined=SOME,
        what=st.sampled_from(["keep", "remove", "remove", "connect", "nothing"]),
        carried=st.booleans(),
        trouble=TROUBLES,
    )
    def disconnect(self, joined: set[int], what: str, carried: bool, trouble: Trouble) -> None:
        """The audience is disconnected, and somebody decides what becomes of its members."""
        self.do(mparticle.subscribe(self.there, "add"))
        self.do(mparticle.tell(self.there, joined, set()))
        if carried:
            self.do(mparticle.carry(self.there, trouble))
        self.do(mparticle.subscribe(self.there, "remove"))
        if what == "connect":
            self.do(mparticle.subscribe(self.there, "add"))
        elif what != "nothing":
            self.do(mparticle.decide(self.there, what))

    @rule(what=st.sampled_from(["drop", "approve removals", "keep", "remove"]))
    def decide(self, what: str) -> None:
        """Somebody decides something about the live mapping."""
        self.do(mparticle.decide(self.there, what))

    @rule(what=st.sampled_from(["carry", "approve removals", "keep", "remove"]))
    def decide_while_dropping(self, what: str) -> None:
        """Somebody drops what waits at the very moment of something else."""
        self.do(mparticle.race(self.there, what))

    @rule()
    def tend(self) -> None:
        """What the live worker does now and then."""
        self.do(mparticle.tend(self.there))

    @rule(number=NUMBERS, by=st.sampled_from(["mpid", "email", "customer_id"]))
    def erase(self, number: int, by: str) -> None:
        """Somebody asks to be forgotten."""
        self.do(mparticle.erase(self.there, number, by))

    # decisions

    @rule(name=NAMES)
    def pause_or_resume(self, name: str) -> None:
        """Somebody pauses a mapping, or resumes it."""
        self.do(decisions.pause_or_resume(self.there, name))

    @rule(
        name=NAMES,
        removals=st.sampled_from([RemovalPolicy.KEEP, RemovalPolicy.KEEP, RemovalPolicy.ASK, RemovalPolicy.REMOVE]),
    )
    def set_removals(self, name: str, removals: RemovalPolicy) -> None:
        """Somebody says what becomes of those who leave an audience."""
        self.do(decisions.set_removals(self.there, name, removals))

    @rule()
    def change_setting(self) -> None:
        """Somebody changes the User ID setting of the connection."""
        self.do(decisions.change_setting(self.there))

    @rule(late=st.booleans())
    def rotate_key(self, late: bool) -> None:
        """Somebody replaces the API key."""
        self.do(decisions.rotate_late(self.there) if late else decisions.rotate(self.there))

    @rule(shape=st.sampled_from([Shape.TABLE, Shape.KEYLESS]))
    def settle(self, shape: Shape) -> None:
        """A time of quiet."""
        self.do(checks.settle(self.there, shape))

    @invariant()
    def holds(self) -> None:
        """What has to be so after each step."""
        self.do(checks.check(self.there))

    @property
    def there(self) -> World:
        """The world, which is there from the first step on."""
        assert self.world is not None
        return self.world

    @property
    def people(self) -> Any:
        """Everybody, as they are now."""
        return self.there.truth.people

    async def is_known(self, name: str) -> bool:
        """Whether there is something to be synced: the live mapping comes with its first message."""
        return name != LIVE or await self.there.mapping(LIVE) is not None


@pytest.mark.parametrize(
    ("kind", "queued"),
    [
        pytest.param("sqlite", False, id="sqlite, in hand"),
        pytest.param("postgresql", True, id="postgresql, queued"),
        pytest.param("sqlite", True, id="sqlite, queued", marks=pytest.mark.extended),
        pytest.param("postgresql", False, id="postgresql, in hand", marks=pytest.mark.extended),
    ],
)
def test_whatever_happens(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, queued: bool
) -> None:
    """After each step the numbers add up and the ledger is what the lists hold, and quiet brings the lists in order."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 2)
    monkeypatch.setattr(cancellation, "LOOK_AGAIN_S", 0.02)
    monkeypatch.setattr(Machine, "queued", queued)
    if kind == "postgresql":
        monkeypatch.setattr(Machine, "server", request.getfixturevalue("postgresql_server"))
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=WALKS or FEW_WALKS,
            stateful_step_count=STEPS if WALKS else FEW_STEPS,
            derandomize=not WALKS,
            database=None,
            deadline=None,
            print_blob=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
