"""What has to be so: after each step, and after a time of quiet."""

from typing import Any

from sqlalchemy import text

from core.models.batch import Phase as Order
from core.models.batch import decode
from core.models.run import Run, RunStatus, SyncMode
from core.privacy import erasure
from core.store import connections, erasures, mappings, rejections, runs
from core.store.mappings import MappingStatus
from tests.core.harness import LIST, OTHER_LIST
from tests.core.world import decisions, mparticle
from tests.core.world.faults import QUIET
from tests.core.world.people import (
    FIRST,
    LISTS,
    LIVE,
    POISON,
    REFUSED,
    SECOND,
    STRANGER,
    THIRD,
    UNNAMED,
    Person,
    address_of,
    user_id_of,
)
from tests.core.world.process import World
from tests.core.world.runs import sync, write
from tests.core.world.sources import Shape

_ROWS = "SELECT mapping_id, profile, email, certain FROM ledger"
_UNANSWERED = (
    "SELECT r.list_id, b.phase, c.members FROM batches b JOIN changes c ON c.batch_id = b.id "
    "JOIN runs r ON r.id = b.run_id WHERE b.state = 'sent'"
)


async def check(world: World) -> None:
    """Numbers add up; the ledger is what is on the lists; strangers were let alone; the key counts as good."""
    async with world.engine.database.read() as db:
        for run in await runs.latest(db, 1000):
            await _check_numbers(db, run)
        of_list = {m.id: m.list_id for m in await mappings.of_connection(db, world.connection_id)}
        rows = list(await db.execute(text(_ROWS)))
        open_now = list(await db.execute(text(_UNANSWERED)))
        connection = await connections.by_id(db, world.connection_id)
    assert connection is not None
    assert connection.key_rejected_at is None, "the key counts as refused, though it works"
    for list_id in (LIST, OTHER_LIST):
        unanswered = set()
        for of, phase, members in open_now:
            if of == list_id or phase == Order.RENAME:
                unanswered |= {
                    value for entry in decode(members).entries for value in entry[2:] if isinstance(value, str)
                }
        of_this = [row for row in rows if of_list[row.mapping_id] == list_id]
        certain = {row.email for row in of_this if row.certain}
        known = {row.email for row in of_this} | unanswered | world.truth.forgotten | {STRANGER}
        on_it = world.emails(list_id)
        assert certain - on_it - unanswered <= world.truth.forgotten, "recorded, but not on the list"
        nameless = {row.profile for row in of_this if row.email is None}
        unknown = {email for email in on_it - known if email.partition("@")[0] not in nameless}
        assert not unknown, "on the list, but not recorded"
        moves = [
            (joins, leaves) for email, _, joins, leaves in world.iterable.state.history(list_id) if email == STRANGER
        ]
        assert moves == [(1, 0)], "a stranger was touched"


async def _check_numbers(db: Any, run: Run) -> None:
    assert run.error_code not in ("unexpected", "storage", "not_accounted_for"), run.error
    if run.status is RunStatus.SUCCEEDED:
        assert run.counters.missing == 0, run
        assert sum((await rejections.by_reason(db, run.id)).values()) == run.counters.rejected, run
    elif run.plan is not None:
        assert run.counters.missing >= 0, run


async def settle(world: World, shape: Shape = Shape.TABLE) -> None:
    """Carry and mirror everything in quiet: the lists are what the truth says, and then nothing is sent."""
    await erasure.carry_out_all(world.engine)
    for name in (FIRST, SECOND, THIRD):
        await decisions.make_active(world, name)
    await mparticle.make_active(world)
    await mparticle.carry_all(world)
    await _finish_emptying(world)
    for name in (FIRST, SECOND, THIRD):
        await quiet_mirror(world, name, shape)
        await check(world)
    await compare(world, LIST, {FIRST: None, SECOND: None}, shape)
    if not world.truth.live.lost:
        await compare(world, OTHER_LIST, {THIRD: None, LIVE: world.truth.live.members}, shape)
    names = [FIRST, SECOND, THIRD]
    if await world.mapping(LIVE) is not None:
        names.append(LIVE)
        await mparticle.make_active(world)
        await quiet_mirror(world, LIVE, shape)
        world.truth.live.know(world.truth.present(LIVE))
        await compare(world, OTHER_LIST, {THIRD: None, LIVE: None}, shape)
    for name in names:
        again = await quiet_mirror(world, name, shape)
        assert _is_refused(world, name) or again.requests == 0, "sent although nothing has changed"


async def _finish_emptying(world: World) -> None:
    """Where somebody had the members of a disconnected audience taken off: the mapping is paused when all are off."""
    mapping = await world.mapping(LIVE)
    if mapping is not None and mapping.disconnected_at is not None:
        await mparticle.tend(world)
        mapping = await world.mapping(LIVE)
        assert mapping is not None
        assert (mapping.status, mapping.disconnected_at) == (MappingStatus.PAUSED, None)


def _is_refused(world: World, name: str) -> bool:
    """Whether Iterable refuses something that is tried each time."""
    truth = world.truth
    ever = set().union(*truth.said[name].values())
    return bool({UNNAMED, POISON} & ever) or any(p.email in REFUSED for p in truth.present(name).values())


async def quiet_mirror(world: World, name: str, shape: Shape = Shape.TABLE) -> Run:
    """Mirror an audience with nothing going wrong; nobody is taken off who is on the list afterwards."""
    mailing_list = world.iterable.state.lists[LISTS[name]]
    seen = len(mailing_list.events)
    file = write(world, name, SyncMode.MIRROR, shape, set())
    this = await sync(world, file, SyncMode.MIRROR, asks=False, trouble=QUIET)
    assert this is not None
    assert this.status is RunStatus.SUCCEEDED, this.error
    if shape is Shape.TABLE:
        assert this.counters.members == len(file.members)
    left = {number for happened in mailing_list.events[seen:] if not happened.joined for number in happened.numbers}
    assert not left & mailing_list.members, "taken off and put on again"
    return this


async def compare(
    world: World, list_id: int, parts: dict[str, dict[int, Person] | None], shape: Shape = Shape.TABLE
) -> None:
    """See that a list holds who it should. `parts`: who is a member, by mapping; None: the audience as it is now."""
    truth, erased = world.truth, await _forgotten(world)
    wanted, perhaps = {STRANGER}, set(truth.forgotten)
    for name, given in parts.items():
        members = truth.present(name) if given is None else given
        unsure = set() if given is None else truth.live.unsure | truth.live.muddled
        for number in unsure:
            perhaps |= truth.ever(number)
        for number, person in members.items():
            email = address_of(person, truth.setting, keyless=given is None and shape is Shape.KEYLESS)
            if email is None or number in erased or (given is not None and person.email is None):
                perhaps |= truth.said[name].get(number, set())
            elif email not in REFUSED and number not in unsure:
                wanted.add(email)
        if not truth.removes(name):
            perhaps |= set().union(*(truth.ever(number) for number in truth.people if number not in members))
            if name in truth.keyless:  # who changes the key together with the address: a leaver, and somebody new
                perhaps |= set().union(*(truth.said[name].get(number, set()) for number in members))
    found = world.emails(list_id)
    assert found - perhaps == wanted - perhaps, list_id
    assert found >= wanted, list_id


async def check_user_ids(world: World, names: list[str]) -> None:
    """See that who is on a list has the user id of somebody of that address there.

    Not so after every walk: where one mapping has given a person an id that another had replaced before, the other does
    not learn of it.
    """
    truth, erased = world.truth, await _forgotten(world)
    possible: dict[str, set[str | None]] = {}
    for name in names:
        for number, person in truth.present(name).items():
            email = address_of(person, truth.setting)
            if email is not None and number not in erased:
                possible.setdefault(email, set()).add(user_id_of(person, truth.setting))
    for list_id in (LIST, OTHER_LIST):
        for email, user_id in world.iterable.state.members(list_id):
            expected = possible.get(email or "", {None}) if email not in truth.forgotten else {None}
            assert None in expected or user_id in expected, "on the list under another user id"


async def _forgotten(world: World) -> set[int]:
    """Who may not be brought back by a file."""
    async with world.engine.database.read() as db:
        found = await erasures.forgotten(db, world.engine.vault, str(mparticle.ACCOUNT_ID))
    if found is None:
        return set()
    digests = set(found.digests)

    def is_forgotten(p: Person) -> bool:
        named = (("mpid", str(p.mpid)), ("email", p.email), ("customer", p.customer_id))
        return any(value and erasures.digest(found.salt, kind, value) in digests for kind, value in named)

    return {number for number, person in world.truth.people.items() if is_forgotten(person)}
