"""A round with changes of three audiences: additions, removals, an update, and members that can't be on a list."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.lease import LeaseTimes
from core.store.tables import connections
from sandbox.mparticle import Audience, Profile
from tests.core.crashing import ServeJob
from tests.core.harness import Kept, kept_directory
from tests.core.workers import finish_all
from tests.firehosing import Live, firehosing, person

SUBSCRIBE, UNSUBSCRIBE = "/api/lists/subscribe", "/api/lists/unsubscribe"
#: The local Iterable has lists already; those of the audiences are the next ones.
FIRST_LIST = 1016
#: Without a limit, reservations of the rate limiter are no events.
RATE = 0.0


@dataclass(frozen=True)
class Part:
    """The part of an audience in the round: who is on its list before, what changes, and what must come of it."""

    audience: Audience
    before: tuple[Profile, ...]
    joins: tuple[Profile, ...] = ()
    leaves: tuple[Profile, ...] = ()
    #: The changes that must be counted, by what became of them.
    counts: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)

    @property
    def list_id(self) -> int:
        """The audience's list."""
        return int(self.audience.settings["listId"])

    @property
    def accepted(self) -> tuple[Profile, ...]:
        """Those who join and can be on a list."""
        return tuple(each for each in self.joins if (each.email or "").endswith("@example.com"))

    @property
    def after(self) -> set[str]:
        """The addresses that must be on the list after the round."""
        left = {each.mpid for each in self.leaves}
        return {each.email or "" for each in (*self.before, *self.accepted) if each.mpid not in left}


def _audience(number: int) -> Audience:
    return Audience(9000 + number, f"A{number}", {"listId": str(FIRST_LIST + number)})


PARTS = (
    Part(
        _audience(0),
        before=tuple(map(person, range(101, 106))),
        joins=(person(111), person(112), person(113, email=None)),
        leaves=(person(101), person(102)),
        counts={"added": 2, "removed": 2, "rejected": 1},
        rejected={"no_email": 1},
    ),
    Part(
        _audience(1),
        before=tuple(map(person, range(201, 204))),
        joins=(person(201, customer_id="other"), person(211), person(212, email="p212@invalid.test")),
        leaves=(person(203),),
        counts={"added": 1, "updated": 1, "removed": 1, "rejected": 1},
        rejected={"iterable_invalid_email": 1},
    ),
    Part(
        _audience(2),
        before=tuple(map(person, range(301, 304))),
        joins=(person(311), person(302)),
        leaves=(person(301),),
        counts={"added": 1, "removed": 1, "unchanged": 1},
    ),
)


@asynccontextmanager
async def receiving(
    directory: Path, database_url: str | None, kept: Kept | None = None, times: LeaseTimes | None = None
) -> AsyncIterator[Live]:
    """Open an engine that receives live changes, but delivers none by itself."""
    async with firehosing(
        directory,
        database_url,
        kept=kept,
        times=times,
        worker=False,
        firehose_approval="none",
        firehose_gather_s=0.0,
    ) as service:
        yield service


async def fill_lists(service: Live) -> None:
    """Connect the audiences, and deliver who is on their lists before the round.

    The first delivery of an audience is no round: it asks Iterable what rounds must know.
    """
    for part in PARTS:
        assert service.iterable.state.add_list(part.audience.name).id == part.list_id
        await service.mparticle.add(part.audience, *part.before)
    async with service.engine.database.write() as db:
        await db.execute(connections.update().values(requests_per_second=RATE))
    await finish_all(service.engine)


async def send_changes(service: Live) -> None:
    """Receive the changes of the round."""
    for part in PARTS:
        joins = (("add", profile) for profile in part.joins)
        leaves = (("delete", profile) for profile in part.leaves)
        await service.mparticle.tell(part.audience, [*joins, *leaves])


async def keep_lists(database_url: str | None = None) -> Kept:
    """Fill the lists in a database, and keep that state. On PostgreSQL, the caller copies the database."""
    async with receiving(kept_directory(), database_url) as service:
        await fill_lists(service)
    return Kept(service.engine.settings.data_dir, service.iterable.state)


async def problem_of(service: Live) -> str:
    """Compare lists and counts with what the changes say. Returns the first difference, or ""."""
    for part in PARTS:
        name, history = part.audience.name, service.iterable.state.history(part.list_id)
        if (on_list := service.emails(part.list_id)) != part.after:
            return f"{name}: the list differs by {sorted(on_list ^ part.after)}"
        if moved := [email for email, _, joins, leaves in history if joins > 1 or leaves > 1]:
            return f"{name}: {moved} were moved more than once"
        status = await service.status(part.audience)
        received = len(part.before) + len(part.joins) + len(part.leaves)
        expected = {**part.counts, "added": len(part.before) + part.counts["added"]}
        counts = {key: getattr(status, key) for key in ("added", "updated", "removed", "rejected", "unchanged")}
        counts = {key: number for key, number in counts.items() if number}
        if counts != expected or status.rejected_by_reason != part.rejected or status.changes_today != received:
            return f"{name}: {status.changes_today} changes are counted as {counts}, {status.rejected_by_reason}"
    return ""


async def problem_when_repeated(service: Live) -> str:
    """Receive again who joined, twice. Returns what is wrong if anything is sent the second time, or "".

    The first time, what a killed process had claimed is sent once more.
    """
    for _ in range(2):
        before = _requests(service)
        for part in PARTS:
            await service.mparticle.add(part.audience, *part.accepted)
        await finish_all(service.engine)
    return "" if _requests(service) == before else "changes that change nothing are sent"


def _requests(service: Live) -> int:
    return sum(service.iterable.state.log.total(path) for path in (SUBSCRIBE, UNSUBSCRIBE))


async def round_job(service: Live, *, commits: bool = False, report: Path | None = None) -> ServeJob:
    """Receive the changes, for another process that delivers them."""
    await send_changes(service)
    return ServeJob(settings=service.engine.settings, commits=commits, report=report)


async def after_a_crash(service: Live) -> str:
    """Do what the killed process has left. Returns what is wrong then, or ""."""
    await finish_all(service.engine)
    return await problem_of(service) or await problem_when_repeated(service)
