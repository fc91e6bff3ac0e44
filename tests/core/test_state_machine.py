"""A state machine of the whole system: its promises hold whatever people, mParticle and the network do, in any order.

hypothesis chooses the steps, and shrinks a failure to the few steps that cause it. `ITERABLE_SYNC_WALKS` sets the
number of walks on each database, with and without the queue; they are longer and differ each time. Without it there are
a few walks, always the same.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from core.identity import ProjectType, UserIdField
from core.models.run import Run, RunStatus, SyncMode
from core.planning import batching
from core.runs import cancellation
from core.store.mappings import RemovalPolicy
from tests.core.world import checks, decisions, mparticle, runs
from tests.core.world.faults import Trouble
from tests.core.world.meddling import MEDDLERS
from tests.core.world.people import ADDRESSES, FIRST, LISTS, LIVE, PEOPLE, REFUSED, SECOND, THIRD
from tests.core.world.process import Meddler, World
from tests.core.world.sources import Shape
from tests.core.world.storage import Postgresql, Sqlite

WALKS = int(os.environ.get("ITERABLE_SYNC_WALKS", "0"))
#: Walks of each kind by default (the first is short), steps of such a walk, and steps of other walks.
FEW_WALKS, FEW_STEPS, STEPS = 2, 6, 16
#: A step that takes longer than this, in seconds, never ends.
ENDLESS_S = 300.0

DEATHS = ["crash", "crash applied", "crash at commit"]
TROUBLES = st.builds(
    Trouble,
    chance=st.sampled_from([0.0, 0.0, 0.3, 0.8]),
    path=st.sampled_from(["/api/", "/api/lists/subscribe", "/api/lists/unsubscribe", "/api/users/"]),
    seed=st.integers(0, 1000),
    event=st.sampled_from(["nothing", "nothing", "stop", *DEATHS, *MEDDLERS]),
    nth=st.integers(1, 12),
)
NUMBERS = st.sampled_from(PEOPLE)
SOME = st.sets(NUMBERS, min_size=1, max_size=4)
NAMES = st.sampled_from(list(LISTS))
MODES = st.sampled_from([SyncMode.MIRROR, SyncMode.MIRROR, SyncMode.DELTA, SyncMode.ADD])
SHAPES = st.sampled_from([Shape.TABLE, Shape.TABLE, Shape.DOWNLOAD, Shape.KEYLESS])


class Machine(RuleBasedStateMachine):
    """The steps that can happen, in any order."""

    #: The address of a PostgreSQL server, or None for SQLite.
    server: str | None = None
    queued = False
    project_type = ProjectType.EMAIL
    meddlers: Mapping[str, Meddler] = MEDDLERS

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.temporary = tempfile.TemporaryDirectory(prefix="sm-")
        self.world: World | None = None
        self.downloads: list[runs.File] = []
        self.is_sound = True

    def do(self, coroutine: Any) -> Any:
        """Run a coroutine in the machine's event loop."""
        self.is_sound = False
        result = self.runner.run(asyncio.wait_for(coroutine, ENDLESS_S))
        self.is_sound = True
        return result

    def teardown(self) -> None:
        """Settle, if no step has failed so far, and close everything."""
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
        """Create a world with its initial audiences."""
        directory = Path(self.temporary.name)
        storage = Sqlite(directory / "database") if self.server is None else Postgresql(self.server)
        world = self.world = World(
            directory, storage, setting, self.meddlers, queued=self.queued, project_type=self.project_type
        )
        self.do(world.open())
        self.do(decisions.propose_second(world))
        world.truth.audiences |= {FIRST: first, SECOND: second, THIRD: third}

    # people change

    @rule(number=NUMBERS, address=st.sampled_from(ADDRESSES))
    def get_address(self, number: int, address: str | None) -> None:
        """A person gets another address, or loses the address."""
        email = f"{address}-{number}@example.com" if address and address.startswith("own") else address
        self.people[number] = replace(self.people[number], email=email)

    @rule(one=NUMBERS, two=NUMBERS)
    def swap_addresses(self, one: int, two: int) -> None:
        """Two people swap addresses."""
        emails = self.people[one].email, self.people[two].email
        self.people[one] = replace(self.people[one], email=emails[1])
        self.people[two] = replace(self.people[two], email=emails[0])

    @rule(number=NUMBERS, kind=st.sampled_from(["c", "d", None]))
    def get_customer_id(self, number: int, kind: str | None) -> None:
        """A person gets another customer id, or loses the customer id."""
        self.people[number] = replace(self.people[number], customer_id=kind and f"{kind}{number}")

    @rule(name=st.sampled_from([FIRST, SECOND, THIRD]), numbers=SOME)
    def join_or_leave(self, name: str, numbers: set[int]) -> None:
        """People join an audience, or leave it."""
        self.current_world.truth.audiences[name] ^= numbers

    # files

    @rule(name=NAMES, mode=MODES, shape=SHAPES, left=SOME, asks=st.booleans(), trouble=TROUBLES)
    def sync(self, name: str, mode: SyncMode, shape: Shape, left: set[int], asks: bool, trouble: Trouble) -> None:
        """Sync a file."""
        self.do(self._sync(name, mode, shape, left, asks, trouble))

    async def _sync(
        self, name: str, mode: SyncMode, shape: Shape, left: set[int], asks: bool, trouble: Trouble
    ) -> None:
        world = self.current_world
        if await self.is_known(name):
            file = runs.write(world, name, mode, shape, left)
            if file.at is not None:
                self.downloads.append(file)
            await runs.sync(world, file, mode, asks=asks, trouble=trouble)

    @rule(one=NAMES, two=NAMES, mode=MODES, left=SOME, is_other_process=st.booleans(), trouble=TROUBLES)
    def sync_two(
        self, one: str, two: str, mode: SyncMode, left: set[int], is_other_process: bool, trouble: Trouble
    ) -> None:
        """Two runs at once, perhaps of one list, perhaps by two processes."""

        async def sync_both() -> None:
            world, queued_ids = self.current_world, []
            for name, run_mode in ((one, mode), (two, SyncMode.MIRROR)):
                if await self.is_known(name):
                    file = runs.write(world, name, run_mode, Shape.TABLE, left)
                    queued_ids.append(await runs.queue(world, file, run_mode, asks=True))
            if run_ids := [run_id for run_id in queued_ids if run_id is not None]:
                await runs.carry_out(world, *run_ids, trouble=trouble, separate=is_other_process)

        self.do(sync_both())

    @rule(nth=st.integers(0, 5), trouble=TROUBLES)
    def sync_older(self, nth: int, trouble: Trouble) -> None:
        """Sync a download that is older than a later one that was synced."""
        if self.downloads:
            self.do(runs.sync_older(self.current_world, self.downloads[nth % len(self.downloads)], trouble))

    @rule(
        back=st.integers(0, 3),
        action=st.sampled_from(["approve", "approve", "decline", "retry", "retry rejected", "cancel", "undo"]),
        trouble=TROUBLES,
    )
    def change_run(self, back: int, action: str, trouble: Trouble) -> None:
        """A person does something to a run."""
        world = self.current_world

        async def change() -> None:
            fits: dict[str, Callable[[Run], bool]] = {
                "approve": lambda run: run.status is RunStatus.NEEDS_APPROVAL,
                "decline": lambda run: run.status is RunStatus.NEEDS_APPROVAL,
                "retry": lambda run: run.status in (RunStatus.FAILED, RunStatus.INTERRUPTED),
                "retry rejected": lambda run: run.counters.rejected > 0,
                "cancel": lambda run: run.status.is_resumable,
                "undo": lambda run: True,
            }
            chosen = [run for run in await world.runs() if fits[action](run)][::-1]
            if not chosen:
                return
            run_id = chosen[back % len(chosen)].id
            if action in ("approve", "decline"):
                await runs.decide(world, run_id, trouble, approved=action == "approve")
            elif action == "retry":
                await runs.retry(world, run_id, trouble)
            elif action == "retry rejected":
                await runs.retry_rejected(world, run_id, trouble)
            elif action == "cancel":
                await runs.cancel(world, run_id)
            else:
                await runs.undo_run(world, run_id, trouble)

        self.do(change())

    @rule()
    def take_over(self) -> None:
        """A worker looks for runs of dead processes."""
        self.do(runs.take_over(self.current_world))

    # mParticle

    @rule(
        joined=SOME,
        left=SOME,
        age=st.sampled_from([0, 0, 0, 1, 2, 3]),
        kind=st.sampled_from(["plain", "plain", "plain", "hashed", "keyless"]),
        is_delivered=st.booleans(),
        trouble=TROUBLES,
    )
    def tell(self, joined: set[int], left: set[int], age: int, kind: str, is_delivered: bool, trouble: Trouble) -> None:
        """mParticle sends a message, perhaps a late one; perhaps its changes are delivered."""
        encoding = {"hashed": kind == "hashed", "keyless": kind == "keyless"}
        self.do(mparticle.send_changes(self.current_world, joined, left, age, **encoding))
        if is_delivered:
            self.do(mparticle.deliver(self.current_world, trouble))

    @rule(nth=st.integers(0, 5))
    def repeat_message(self, nth: int) -> None:
        """mParticle sends a message again."""
        self.do(mparticle.repeat(self.current_world, nth))

    @rule(trouble=TROUBLES)
    def deliver(self, trouble: Trouble) -> None:
        """Deliver the pending changes of the live mapping."""
        self.do(mparticle.deliver(self.current_world, trouble))

    @rule(
        joined=SOME,
        decision=st.sampled_from(["keep", "remove", "remove", "connect", "nothing"]),
        is_delivered=st.booleans(),
        trouble=TROUBLES,
    )
    def disconnect(self, joined: set[int], decision: str, is_delivered: bool, trouble: Trouble) -> None:
        """mParticle disconnects the audience, and a person decides about its members."""
        self.do(mparticle.subscribe(self.current_world, "add"))
        self.do(mparticle.send_changes(self.current_world, joined, set()))
        if is_delivered:
            self.do(mparticle.deliver(self.current_world, trouble))
        self.do(mparticle.subscribe(self.current_world, "remove"))
        if decision == "connect":
            self.do(mparticle.subscribe(self.current_world, "add"))
        elif decision != "nothing":
            self.do(mparticle.decide(self.current_world, decision))

    @rule(decision=st.sampled_from(["drop", "approve removals", "keep", "remove"]))
    def decide(self, decision: str) -> None:
        """A person decides about the live mapping."""
        self.do(mparticle.decide(self.current_world, decision))

    @rule(action=st.sampled_from(["deliver", "approve removals", "keep", "remove"]))
    def decide_while_dropping(self, action: str) -> None:
        """A person drops the pending changes at the moment of another action."""
        self.do(mparticle.race(self.current_world, action))

    @rule()
    def maintain(self) -> None:
        """Run the live worker's maintenance."""
        self.do(mparticle.maintain(self.current_world))

    @rule(number=NUMBERS, by=st.sampled_from(["mpid", "email", "customer_id"]))
    def erase(self, number: int, by: str) -> None:
        """A person asks to be forgotten."""
        self.do(mparticle.erase(self.current_world, number, by))

    # decisions

    @rule(name=NAMES)
    def pause_or_resume(self, name: str) -> None:
        """A person pauses or resumes a mapping."""
        self.do(decisions.pause_or_resume(self.current_world, name))

    @rule(
        name=NAMES,
        policy=st.sampled_from([RemovalPolicy.KEEP, RemovalPolicy.KEEP, RemovalPolicy.ASK, RemovalPolicy.REMOVE]),
    )
    def set_removals(self, name: str, policy: RemovalPolicy) -> None:
        """A person sets the removal policy of a mapping."""
        self.do(decisions.set_removals(self.current_world, name, policy))

    @rule()
    def change_setting(self) -> None:
        """A person changes the User ID setting of the connection."""
        self.do(decisions.change_setting(self.current_world))

    @rule(late=st.booleans())
    def rotate_key(self, late: bool) -> None:
        """A person replaces the API key."""
        self.do(decisions.rotate_late(self.current_world) if late else decisions.rotate(self.current_world))

    @rule(shape=st.sampled_from([Shape.TABLE, Shape.KEYLESS]))
    def settle(self, shape: Shape) -> None:
        """Settle without faults."""
        self.do(checks.settle(self.current_world, shape))

    @invariant()
    def holds(self) -> None:
        """Check what must be true after each step."""
        self.do(checks.check(self.current_world))

    @property
    def current_world(self) -> World:
        """The world, which exists from the first step on."""
        assert self.world is not None
        return self.world

    @property
    def people(self) -> Any:
        """All people in their current state."""
        return self.current_world.truth.people

    async def is_known(self, name: str) -> bool:
        """Whether a mapping exists: the live mapping is created by its first message."""
        return name != LIVE or await self.current_world.mapping(LIVE) is not None


class UserIdMachine(Machine):
    """The same in a userID-based project."""

    project_type = ProjectType.USER_ID


class HybridMachine(Machine):
    """The same in a hybrid project, as far as Iterable takes it.

    There it refuses an email or a user id that another user has, and another user id for a user that has one. What a
    list should be then follows from the order of requests, so people have addresses of their own and keep their ids
    (tests/core/test_project_types.py has the refusals).
    """

    project_type = ProjectType.HYBRID
    meddlers: Mapping[str, Meddler] = {name: meddler for name, meddler in MEDDLERS.items() if name != "setting"}
    swap_addresses = get_customer_id = change_setting = None  # type: ignore[assignment]

    @rule(number=NUMBERS, address=st.sampled_from(["own0", "own1", None, "broken", *REFUSED]))
    def get_address(self, number: int, address: str | None) -> None:
        """A person gets another address, or loses the address."""
        email = f"{address}-{number}@example.com" if address and address.startswith("own") else address
        self.people[number] = replace(self.people[number], email=email)


@pytest.mark.extended
@pytest.mark.parametrize(
    ("kind", "queued", "machine"),
    [
        pytest.param("sqlite", False, Machine, id="sqlite, direct"),
        pytest.param("postgresql", True, Machine, id="postgresql, queued"),
        pytest.param("sqlite", True, Machine, id="sqlite, queued"),
        pytest.param("postgresql", False, Machine, id="postgresql, direct"),
        pytest.param("sqlite", False, UserIdMachine, id="sqlite, direct, userID-based"),
        pytest.param("sqlite", False, HybridMachine, id="sqlite, direct, hybrid"),
        pytest.param("postgresql", True, UserIdMachine, id="postgresql, queued, userID-based"),
        pytest.param("postgresql", True, HybridMachine, id="postgresql, queued, hybrid"),
    ],
)
def test_promises_hold_after_each_step(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, queued: bool, machine: type[Machine]
) -> None:
    """After each step the numbers add up and the ledger matches the lists, and settling makes the lists equal."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 2)
    monkeypatch.setattr(cancellation, "LOOK_AGAIN_S", 0.02)
    monkeypatch.setattr(Machine, "queued", queued)
    if kind == "postgresql":
        monkeypatch.setattr(Machine, "server", request.getfixturevalue("postgresql_server"))
    run_state_machine_as_test(
        machine,
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
