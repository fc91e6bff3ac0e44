"""A world for a state machine: people, audiences, an engine that dies and starts again, and what has to be so.

The reference is plain sets: who is in which audience, and under which addresses anybody has ever been synced.
"""

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import event, text

from core import approval, connecting, control, erasure, execution, propose, undo
from core.changes import Phase as Order
from core.changes import decode
from core.engine import Engine, open_engine
from core.errors import InputError
from core.firehose.intake import Intake
from core.firehose.messages import Request as Message
from core.firehose.messages import parse
from core.identity import Profile as Identities
from core.identity import Subscriber, UserIdField, subscriber_of
from core.iterable import DataCenter, IterableClient, IterableList, Patience, Unpaced
from core.live import carrying
from core.runs import Mode, Request, Run, Status
from core.settings import FirehoseApproval, Settings
from core.store import connections, erasures, mappings, rejections, runs
from core.store import live as live_store
from core.store.connections import Connection
from core.store.mappings import Mapping, Removals, State
from core.submit import submit
from sandbox.iterable import Fault, Running, running
from sandbox.mparticle import Audience, Profile, messages
from tests.core.harness import LIST, OTHER_LIST, Member

PEOPLE = range(1, 8)
STRANGER = "stranger@elsewhere.example.com"
REFUSED = ["refused@forgotten.test", "refused@conflict.test"]
SHARED = ["shared0@example.com", "shared1@example.com", "shared2@example.com"]
#: What an address may become: one of one's own, one that others have too, none, or one that is of no use.
ADDRESSES = ["own0", "own1", "own0", "own1", *SHARED, None, None, "broken", REFUSED[0], REFUSED[1]]

#: The mappings that files feed, each with the list that it feeds, and the one that mParticle's messages feed.
FIRST, SECOND, THIRD, LIVE = "first", "second", "third", "8754"
LISTS = {FIRST: LIST, SECOND: LIST, THIRD: OTHER_LIST, LIVE: OTHER_LIST}
VIPS = Audience(8754, "VIPs", {"listId": str(OTHER_LIST)})

HASTY = Patience(attempts=2, base=0.0005, cap=0.001, retry_after=0.01, throttled=0.2, request=5.0)
BY = "U1"


class Crash(Fault):
    """Lets requests pass until the one whose turn it is: then the process is dead, and so is all that it sends."""

    def __init__(self, call: Callable[[], None], nth: int, applied: bool) -> None:
        super().__init__("reset", applied=applied)
        self._call, self._turn, self._over = call, nth, False

    def strikes(self, method: str, path: str, body: bytes) -> bool:
        """Whether the process is dead. Only the request at which it dies may still arrive."""
        self.matched += 1
        if self.matched == self._turn:
            self._call()
            return True
        self.applied = self.applied and self.matched <= self._turn
        return self.matched > self._turn


class Trip(Fault):
    """Lets every request pass, and calls a function at the one whose turn it is."""

    def __init__(self, call: Callable[[], None], nth: int) -> None:
        super().__init__("slow")
        self._call, self._turn = call, nth

    def strikes(self, method: str, path: str, body: bytes) -> bool:
        """Count the request; it goes right."""
        self.matched += 1
        if self.matched == self._turn:
            self._call()
        return False


@dataclass(frozen=True)
class Trouble:
    """What goes wrong while a run is at work: requests that fail by chance, and something at the nth event."""

    chance: float = 0.0
    path: str = "/api/"
    seed: int = 0
    what: str = "nothing"
    nth: int = 1


QUIET = Trouble()


@dataclass
class World:
    """People, audiences, the engine with a local Iterable behind it, and what a plain reference says of them."""

    directory: Path
    setting: UserIdField
    people: dict[int, Member] = field(default_factory=dict)
    audiences: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in LISTS})
    #: Under which addresses each mapping has ever been told of each member.
    said: dict[str, dict[int, set[str]]] = field(default_factory=lambda: {name: {} for name in LISTS})
    #: Addresses that somebody who was forgotten may have had: what is on a list under them is nobody's any more.
    forgotten: set[str] = field(default_factory=set)
    #: Runs, oldest first; and messages of mParticle, to be sent again.
    started: list[str] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    #: The live mapping's members by messages, and the latest time stamp of each; None: not known until it is mirrored.
    believed: dict[int, Member] | None = field(default_factory=dict)
    stamps: dict[int, int] = field(default_factory=dict)
    keys: int = 0
    files: int = 0
    died: Path | None = None
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def open(self) -> None:
        """Open everything, and put a stranger on both lists."""
        self.began = int(time.time() * 1000)
        self.outer, self.inner = AsyncExitStack(), AsyncExitStack()
        self.iterable: Running = await self.outer.enter_async_context(running(bulk_per_second=0))
        self.key = self.iterable.key
        await self.start_process()
        connected = await connecting.connect(
            self.engine,
            name="shop",
            api_key=self.key,
            data_center=DataCenter.US,
            user_id=self.setting,
            rate=0,
        )
        self.connection_id = connected.connection.id
        for number in PEOPLE:
            self.people[number] = Member(number, f"own0-{number}@example.com", f"c{number}" if number % 4 else None)
        async with IterableClient(self.key, base_url=self.iterable.url, pacer=Unpaced()) as client:
            for list_id in (LIST, OTHER_LIST):
                await client.subscribe(list_id, [(STRANGER, None)])
        await self.propose_second()

    async def close(self) -> None:
        """Close everything."""
        self.engine.stopping.set()
        await self.inner.aclose()
        await self.outer.aclose()

    async def start_process(self) -> None:
        """Open the engine, as a process does when it starts."""
        made = Settings(
            iterable_url=self.iterable.url,
            data_dir=self.directory / "data",
            firehose_token=SecretStr("token"),
            firehose_approval=FirehoseApproval.NONE,
            _env_file=None,  # type: ignore[call-arg]
        )
        self.inner = AsyncExitStack()
        self.engine: Engine = await self.inner.enter_async_context(open_engine(made, "test", patience=HASTY))
        self.intake = Intake(self.engine)
        self.file = Path(self.engine.database.engine.url.database or "")

    def die(self) -> None:
        """Keep the database as it is on disk at this moment, which is all that a process leaves that dies now."""
        if self.died is not None:
            return
        self.died = self.directory / "died.sqlite"
        with sqlite3.connect(self.file) as now, sqlite3.connect(self.died) as kept:
            now.backup(kept)
        now.close()
        kept.close()
        self.engine.stopping.set()
        self.iterable.faults.set([Fault("reset")])

    async def start_again(self) -> None:
        """Go on with what a process left that died."""
        assert self.died is not None
        await self.inner.aclose()
        self.put_back(self.died)
        self.died = None
        await self.start_process()

    def put_back(self, kept: Path) -> None:
        """Make a copy of the database the database."""
        for end in ("", "-wal", "-shm"):
            Path(f"{self.file}{end}").unlink(missing_ok=True)
        shutil.move(kept, self.file)

    # what is there

    async def connection(self) -> Connection:
        """The connection as it is now."""
        async with self.engine.database.read() as db:
            found = await connections.by_id(db, self.connection_id)
        assert found is not None
        return found

    async def mapping(self, name: str) -> Mapping | None:
        """A mapping as it is now."""
        async with self.engine.database.read() as db:
            found = await mappings.of_connection(db, self.connection_id)
        return next((m for m in found if name in (m.audience_name, m.audience_id)), None)

    async def run(self, run_id: str) -> Run | None:
        """A run as it is now."""
        async with self.engine.database.read() as db:
            return await runs.by_id(db, run_id)

    def emails(self, list_id: int) -> set[str]:
        """Who is on a list."""
        return {email or user_id or "" for email, user_id in self.iterable.state.members(list_id)}

    def email_of(self, member: Member) -> str | None:
        """Under which address a member is put on a list."""
        mapped = subscriber_of(Identities(member.mpid, member.email, member.customer_id), self.setting)
        return mapped.email if isinstance(mapped, Subscriber) else None

    # what is told

    def say(self, name: str, told: Iterable[Member]) -> None:
        """Note what a mapping is told."""
        for member in told:
            if email := self.email_of(member):
                self.said[name].setdefault(member.mpid, set()).add(email)

    def write(self, rows: list[str], header: str) -> Path:
        """Write a file of an audience."""
        self.files += 1
        path = self.directory / f"audience{self.files}.csv"
        path.write_text("".join(f"{line}\n" for line in (header, *rows)))
        return path

    def source(self, name: str, how: Mode, left: set[int]) -> Path:
        """Write what a run is told."""
        present = [self.people[number] for number in sorted(self.audiences[name])]
        if how is Mode.DELTA:
            present = [member for member in present if member.mpid % 2]
            gone = [self.people[number] for number in sorted(left - self.audiences[name])]
            rows = [f"{m.mpid},{m.email or ''},{m.customer_id or ''},{m in present}" for m in (*present, *gone)]
            path = self.write([row.lower() for row in rows], "mpid,email,customerid,isadd")
        else:
            path = self.write(
                [f"{m.mpid},{m.email or ''},{m.customer_id or ''}" for m in present], "mpid,email,customer_id"
            )
        self.say(name, present)
        return path

    async def queue(self, name: str, how: Mode, left: set[int], *, asks: bool) -> str | None:
        """Queue a run of a mapping from a file; None where it may not be synced now."""
        path = self.source(name, how, left)
        if name == LIVE:
            self.believed = None
        mapping = await self.mapping(name)
        request = Request(path=str(path), audience=name, approved=not asks, allow_empty=not asks)
        if how is not Mode.DELTA:
            request = request.model_copy(update={"mode": how})
        try:
            if asks and mapping is not None:
                run_id = await control.start(self.engine, mapping, request, by=BY, channel=None, team_id=None)
                await self.claim(run_id)
            else:
                connection = await self.connection()
                run_id = (await submit(self.engine, connection, LISTS[name], request)).run_id
        except InputError:
            assert mapping is not None
            assert mapping.state in (State.DECLINED, State.PAUSED)
            return None
        self.started.append(run_id)
        return run_id

    async def claim(self, run_id: str) -> bool:
        """Take a queued run in hand, as a worker does."""
        async with self.engine.database.write() as db:
            this = await runs.by_id(db, run_id)
            return this is not None and this.status.is_active and await runs.claim(db, this, self.engine.presence.id)

    # what is done

    async def disturbed(self, work: Awaitable[Any], trouble: Trouble, run_id: str | None = None) -> None:
        """Do work while things go wrong; where the process dies of it, another one starts."""
        self.disturb(trouble, run_id)
        at_commit = self.commits(trouble.nth) if trouble.what == "crash at commit" else None
        engine = self.engine.database.engine.sync_engine
        if at_commit is not None:
            event.listen(engine, "commit", at_commit)
        try:
            await work
        finally:
            if at_commit is not None:
                event.remove(engine, "commit", at_commit)
        if self.tasks:
            await asyncio.gather(*self.tasks)
        self.iterable.faults.clear()
        self.engine.stopping.clear()
        if self.died is not None:
            await self.start_again()

    def disturb(self, trouble: Trouble, run_id: str | None) -> None:
        """Let things go wrong from now on."""
        chance, path = trouble.chance, trouble.path
        faults = [
            Fault("reset", path=path, probability=chance / 2),
            Fault("reset", path=path, probability=chance / 2, applied=True),
            Fault("error", path=path, probability=chance / 2, status=503),
            Fault("truncated", path=path, probability=chance / 4),
        ]
        if trouble.what == "stop":
            faults.insert(0, Trip(self.engine.stopping.set, trouble.nth))
        elif trouble.what == "cancel" and run_id is not None:
            faults.insert(0, Trip(lambda: self.meanwhile(self.cancel(run_id)), trouble.nth))
        elif trouble.what == "message":
            faults.insert(0, Trip(lambda: self.meanwhile(self.tell({1, 2}, {3}, 0)), trouble.nth))
        elif trouble.what.startswith("crash") and "commit" not in trouble.what:
            self.iterable.faults.set([Crash(self.die, trouble.nth, "applied" in trouble.what)])
            return
        self.iterable.faults.set(faults, seed=trouble.seed)

    def meanwhile(self, work: Any) -> None:
        """Do something while a run is at work."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def commits(self, nth: int) -> Callable[[Any], None]:
        """What dies before the nth transaction is on disk."""
        left = nth

        def about_to(_connection: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.die()

        return about_to

    async def execute(self, run_id: str, trouble: Trouble) -> None:
        """Execute a run that is in hand."""
        this = await self.run(run_id)
        work = carrying.execute if this is not None and this.live else execution.execute
        await self.disturbed(work(self.engine, run_id), trouble, run_id)

    async def cancel(self, run_id: str) -> None:
        """Cancel a run, if it has not ended."""
        try:
            await control.cancel(self.engine, run_id, by=BY, team_id=None)
        except InputError:
            this = await self.run(run_id)
            assert this is None or not this.status.is_resumable or this.stop == "cancel"

    async def take_over(self) -> None:
        """Take up the runs of processes that died."""
        await self.engine.presence.bury_dead()
        async with self.engine.database.write() as db:
            orphans = [run for run in await runs.unfinished(db) if run.is_orphan and not run.live]
            taken = [run.id for run in orphans if await runs.reopen(db, run, self.engine.presence.id) is not None]
        for run_id in taken:
            await self.execute(run_id, QUIET)

    async def decide(self, run_id: str, trouble: Trouble, *, approved: bool) -> None:
        """Approve a run that waits, and execute it; or decline it."""
        if not approved:
            await approval.decline(self.engine, run_id, by=BY, comment=None, team_id=None)
            return
        if await approval.approve(self.engine, run_id, by=BY, comment=None, team_id=None) and await self.claim(run_id):
            await self.execute(run_id, trouble)

    async def retry(self, run_id: str, trouble: Trouble) -> None:
        """Let a run that failed or was interrupted go on."""
        await control.retry(self.engine, run_id, by=BY, team_id=None)
        if await self.claim(run_id):
            await self.execute(run_id, trouble)

    async def undo(self, run_id: str) -> str | None:
        """Ask for an undo of a run, if that can be, and plan it."""
        try:
            undoing = await undo.undo(self.engine, run_id, started_by=BY, channel=None)
        except InputError:
            return None
        self.started.append(undoing)
        if await self.claim(undoing):
            await self.execute(undoing, QUIET)
        return undoing

    async def propose_second(self) -> None:
        """Propose a mapping whose removals are to be approved."""
        target = IterableList(id=LIST, name="Newsletter", type="Standard", created_at=1_735_689_600_000)
        options: dict[str, Any] = {"mode": "auto", "removals": Removals.ASK, "channel": None, "by": BY, "team_id": None}
        await propose.propose(self.engine, await self.connection(), target, audience=SECOND, **options)

    # mParticle

    async def tell(self, joined: set[int], left: set[int], age: int) -> None:
        """mParticle says who joined and who left; `age` seconds ago."""
        stamp = self.began + (len(self.sent) - 10 * age) * 10
        changes = [("add", number) for number in sorted(joined)]
        changes += [("delete", number) for number in sorted(left - joined)]
        if not changes:
            return
        told = [(action, self.people[number]) for action, number in changes]
        account = messages.account(4711, {"apiKey": self.key, "userIdField": self.setting.value})
        as_sent = [(action, Profile(m.mpid, m.email, m.customer_id)) for action, m in told]
        message = parse(json.dumps(messages.membership(account, VIPS, as_sent, at=stamp)).encode())
        self.sent.append(message)
        for action, member in told:
            if stamp >= self.stamps.get(member.mpid, 0):
                self.stamps[member.mpid] = stamp
                self.audiences[LIVE].add(member.mpid) if action == "add" else self.audiences[LIVE].discard(member.mpid)
                if self.believed is not None:
                    self.believed.pop(member.mpid, None)
                    if action == "add":
                        self.believed[member.mpid] = member
        self.say(LIVE, [member for _, member in told])
        await self.intake.handle(message)

    async def carry(self, trouble: Trouble) -> bool:
        """Carry what waits for the live mapping, or take up what was left. Returns False where there is nothing."""
        mapping = await self.mapping(LIVE)
        if mapping is None:
            return False
        async with self.engine.database.read() as db:
            left = await live_store.unended(db, mapping.id)
        if not left:
            run_id = await carrying.begin(self.engine, mapping)
            if run_id is None:
                return False
            await self.execute(run_id, trouble)
            return True
        (this,) = left
        if this.status in (Status.SUCCEEDED, Status.CANCELLED):
            await carrying.end(self.engine, this.id)
            return True
        async with self.engine.database.write() as db:
            assert await runs.reopen(db, this, self.engine.presence.id) is not None
            await connections.change(db, this.connection_id, refused_at=None)
        await self.execute(this.id, trouble)
        return True

    async def erase(self, number: int, by: str) -> None:
        """mParticle says that a person is to be forgotten."""
        member = self.people[number]
        named = {"mpid": str(member.mpid), "email": member.email, "customer_id": member.customer_id}
        if not named[by]:
            return
        theirs = {member.mpid}
        if by == "email":
            theirs |= {other.mpid for other in self.people.values() if other.email == member.email}
        for _ in range(3):
            addresses = set().union(*(at.get(n, set()) for at in self.said.values() for n in theirs)) - set(REFUSED)
            theirs |= {n for at in self.said.values() for n, those in at.items() if those & addresses}
        self.forgotten |= addresses
        account = messages.account(4711, {"apiKey": self.key})
        if await self.mapping(LIVE) is None:
            return  # mParticle knows of no connection
        message = messages.erasure(account, {by: str(named[by])})
        message["timestamp_ms"] = self.began + len(self.sent) * 10
        await self.intake.handle(parse(json.dumps(message).encode()))
        await erasure.carry_out_all(self.engine)
        self.believed = None

    async def are_forgotten(self) -> set[int]:
        """Who may not be brought back by a file."""
        async with self.engine.database.read() as db:
            found = await erasures.forgotten(db, self.engine.vault)
        if found is None:
            return set()
        digests = set(found.digests)

        def is_forgotten(m: Member) -> bool:
            named = (("mpid", str(m.mpid)), ("email", m.email), ("customer", m.customer_id))
            return any(value and erasures.digest(found.salt, kind, value) in digests for kind, value in named)

        return {number for number, member in self.people.items() if is_forgotten(member)}

    async def rotate(self, *, late: bool) -> None:
        """Replace the API key by another of the same project; `late`: the old one is revoked before that."""
        self.keys += 1
        state, old = self.iterable.state, self.key
        self.key = f"sandbox-key-{self.keys:020d}"
        project = state.keys[old].project
        state.add_key(self.key, project)
        if late:
            state.add_key(old, project, "revoked")
            if (run_id := await self.revoked_run()) is not None:
                this = await self.run(run_id)
                assert this is not None
                assert not this.requests or this.status is not Status.SUCCEEDED
        await connecting.replace_key(self.engine, await self.connection(), self.key, by=BY)
        state.add_key(old, project, "revoked")

    async def revoked_run(self) -> str | None:
        """A run of a mapping while the key is refused."""
        mapping = await self.mapping(FIRST)
        if mapping is None:
            return None
        path = self.source(FIRST, Mode.ADD, set())
        request = Request(path=str(path), audience=FIRST, mode=Mode.ADD, approved=True)
        run_id = await control.start(self.engine, mapping, request, by=BY, channel=None, team_id=None)
        self.started.append(run_id)
        if await self.claim(run_id):
            await self.execute(run_id, QUIET)
        return run_id

    # what has to be so

    async def check(self) -> None:
        """Numbers add up; the ledger is what is on the lists; strangers were let alone."""
        async with self.engine.database.read() as db:
            found = await runs.latest(db, 1000)
            for run in found:
                if run.status is Status.SUCCEEDED:
                    assert run.counters.missing == 0, run
                    assert sum((await rejections.by_reason(db, run.id)).values()) == run.counters.rejected, run
                assert run.error_code not in ("unexpected", "storage", "not_accounted_for"), run.error
            of_list = {m.id: m.list_id for m in await mappings.of_connection(db, self.connection_id)}
            rows = list(await db.execute(text("SELECT mapping_id, profile, email, certain FROM ledger")))
            query = (
                "SELECT r.list_id, b.phase, c.members FROM batches b JOIN changes c ON c.batch_id = b.id "
                "JOIN runs r ON r.id = b.run_id WHERE b.state = 'sent'"
            )
            open_now = list(await db.execute(text(query)))
        for list_id in (LIST, OTHER_LIST):
            unanswered = set()
            for of, phase, members in open_now:
                if of == list_id or phase == Order.RENAME:
                    unanswered |= {value for entry in decode(members) for value in entry[2:] if isinstance(value, str)}
            of_this = [row for row in rows if of_list[row.mapping_id] == list_id]
            certain = {row.email for row in of_this if row.certain}
            known = {row.email for row in of_this} | unanswered | self.forgotten | {STRANGER}
            on_it = self.emails(list_id)
            assert certain - on_it - unanswered <= self.forgotten, "recorded, but not on the list"
            nameless = {row.profile for row in of_this if row.email is None}
            unknown = {email for email in on_it - known if email.partition("@")[0] not in nameless}
            assert not unknown, "on the list, but not recorded"
            assert STRANGER in on_it
            self.check_moves(list_id)

    def check_moves(self, list_id: int) -> None:
        """A stranger never left the list."""
        people = self.iterable.state.history(list_id)
        assert [(joins, leaves) for email, _, joins, leaves in people if email == STRANGER] == [(1, 0)]

    async def quiet_mirror(self, name: str) -> Run:
        """Mirror an audience with nothing going wrong; nobody is taken off who is on the list afterwards."""
        mailing_list = self.iterable.state.lists[LISTS[name]]
        seen = len(mailing_list.events)
        run_id = await self.queue(name, Mode.MIRROR, set(), asks=False)
        assert run_id is not None
        await self.execute(run_id, QUIET)
        this = await self.run(run_id)
        assert this is not None
        assert this.status is Status.SUCCEEDED, this.error
        left = {number for happened in mailing_list.events[seen:] if not happened.joined for number in happened.numbers}
        assert not left & mailing_list.members, "taken off and put on again"
        return this

    async def settle(self) -> None:
        """Carry and mirror everything in quiet: the lists are what the reference says, and then nothing is sent."""
        for _ in range(20):
            if not await self.carry(QUIET):
                break
        else:
            raise AssertionError("live changes come to no end")
        mapping = await self.mapping(SECOND)
        assert mapping is not None
        if mapping.state is State.DECLINED:
            await self.propose_second()
        if mapping.state is not State.ACTIVE:
            await propose.decide(self.engine, mapping.id, State.ACTIVE, by=BY, comment=None, team_id=None)
        for name in (FIRST, SECOND, THIRD):
            await self.quiet_mirror(name)
            await self.check()
        await self.compare(LIST, {FIRST: None, SECOND: None})
        if self.believed is not None:
            await self.compare(OTHER_LIST, {THIRD: None, LIVE: self.believed})
        names = [FIRST, SECOND, THIRD]
        if await self.mapping(LIVE) is not None:
            names.append(LIVE)
            await self.quiet_mirror(LIVE)
            self.believed = {number: self.people[number] for number in self.audiences[LIVE]}
            await self.compare(OTHER_LIST, {THIRD: None, LIVE: None})
        for name in names:
            again = await self.quiet_mirror(name)
            refused = any(self.people[number].email in REFUSED for number in self.audiences[name])
            assert refused or again.requests == 0, "sent although nothing has changed"

    async def compare(self, list_id: int, parts: dict[str, dict[int, Member] | None]) -> None:
        """See that a list holds who it should."""
        erased = await self.are_forgotten()
        wanted, perhaps = {STRANGER}, set(self.forgotten)
        for name, members in parts.items():
            of_it = {n: self.people[n] for n in self.audiences[name]} if members is None else members
            for number, member in of_it.items():
                email = self.email_of(member)
                if email is None or number in erased or (members is not None and member.email is None):
                    perhaps |= self.said[name].get(number, set())
                elif email not in REFUSED:
                    wanted.add(email)
        found = self.emails(list_id)
        assert found - perhaps == wanted - perhaps, list_id
        assert found >= wanted, list_id
