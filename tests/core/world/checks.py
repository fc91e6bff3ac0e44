"""Checks of the world, after each step and after settling."""

from typing import Any

from sqlalchemy import text

from core.identity import ProjectType
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
    STRANGER_ID,
    THIRD,
    UNNAMED,
    Person,
    address_of,
    key_of,
    user_id_of,
)
from tests.core.world.process import World
from tests.core.world.runs import sync, write
from tests.core.world.sources import Shape

_ROWS = "SELECT mapping_id, profile, email, user_id, certain FROM ledger"
_UNANSWERED = (
    "SELECT r.list_id, b.phase, c.members FROM batches b JOIN changes c ON c.batch_id = b.id "
    "JOIN runs r ON r.id = b.run_id WHERE b.state = 'sent'"
)


async def check(world: World) -> None:
    """Check that numbers add up, the ledger matches the lists, strangers are untouched, and the key counts as good."""
    async with world.engine.database.read() as db:
        for run in await runs.latest(db, 1000):
            await _check_numbers(db, run)
        list_ids = {m.id: m.list_id for m in await mappings.of_connection(db, world.connection_id)}
        rows = list(await db.execute(text(_ROWS)))
        unanswered_batches = list(await db.execute(text(_UNANSWERED)))
        connection = await connections.by_id(db, world.connection_id)
    assert connection is not None
    assert connection.key_rejected_at is None, "the key counts as refused, though it works"
    for list_id in (LIST, OTHER_LIST):
        unanswered = set()
        for batch_list_id, phase, members in unanswered_batches:
            if batch_list_id == list_id or phase == Order.RENAME:
                unanswered |= {
                    value for entry in decode(members).entries for value in entry[2:] if isinstance(value, str)
                }
        list_rows = [row for row in rows if list_ids[row.mapping_id] == list_id]
        _check_ledger(world, list_id, list_rows, unanswered)
        changes = [
            (joins, leaves) for email, _, joins, leaves in world.iterable.state.history(list_id) if email == STRANGER
        ]
        assert changes == [(1, 0)], "a stranger was touched"


def _check_ledger(world: World, list_id: int, rows: list[Any], unanswered: set[str]) -> None:
    """Check that who is certain in the ledger is on the list, and that who is on the list is in the ledger."""
    forgotten = world.truth.forgotten
    if world.truth.project_type is ProjectType.EMAIL:
        emails = world.emails(list_id)
        certain = {row.email for row in rows if row.certain}
        known = {row.email for row in rows} | unanswered | forgotten | {STRANGER}
        assert certain - emails - unanswered <= forgotten, "recorded, but not on the list"
        nameless = {row.profile for row in rows if row.email is None}
        unknown = {email for email in emails - known if email.partition("@")[0] not in nameless}
        assert not unknown, "on the list, but not recorded"
        return
    # elsewhere a user id tells a person, and the email may be that of another mapping
    on_list = world.iterable.state.members(list_id)
    names = {name for pair in on_list for name in pair if name} | unanswered | forgotten
    lost = [row for row in rows if row.certain and not {row.email, row.user_id} & names]
    assert not lost, "recorded, but not on the list"
    known = {name for row in rows for name in (row.email, row.user_id) if name} | unanswered | forgotten
    unrecorded = [pair for pair in on_list if not known & set(pair) and pair != (STRANGER, STRANGER_ID)]
    assert not unrecorded, "on the list, but not recorded"


async def _check_numbers(db: Any, run: Run) -> None:
    assert run.error_code not in ("unexpected", "storage", "not_accounted_for"), run.error
    if run.status is RunStatus.SUCCEEDED:
        assert run.counters.missing == 0, run
        assert sum((await rejections.by_reason(db, run.id)).values()) == run.counters.rejected, run
    elif run.plan is not None:
        assert run.counters.missing >= 0, run


async def settle(world: World, shape: Shape = Shape.TABLE) -> None:
    """Deliver and mirror everything without faults: the lists match the truth, and another mirror sends nothing."""
    await erasure.carry_out_all(world.engine)
    for name in (FIRST, SECOND, THIRD):
        await decisions.make_active(world, name)
    await mparticle.make_active(world)
    await mparticle.deliver_all(world)
    await _finish_bulk_removal(world)
    for name in (FIRST, SECOND, THIRD):
        await quiet_mirror(world, name, shape)
        await check(world)
    await compare(world, LIST, {FIRST: None, SECOND: None}, shape)
    if not world.truth.live.is_unknown:
        await compare(world, OTHER_LIST, {THIRD: None, LIVE: world.truth.live.members}, shape)
    names = [FIRST, SECOND, THIRD]
    if await world.mapping(LIVE) is not None:
        names.append(LIVE)
        await mparticle.make_active(world)
        await quiet_mirror(world, LIVE, shape)
        world.truth.live.reset(world.truth.present(LIVE))
        await compare(world, OTHER_LIST, {THIRD: None, LIVE: None}, shape)
    for name in names:
        again = await quiet_mirror(world, name, shape)
        assert _is_refused(world, name) or again.requests == 0, "sent although nothing has changed"


async def _finish_bulk_removal(world: World) -> None:
    """Pause the live mapping if a person had the members of its disconnected audience removed, and all are."""
    mapping = await world.mapping(LIVE)
    if mapping is not None and mapping.disconnected_at is not None:
        await mparticle.maintain(world)
        mapping = await world.mapping(LIVE)
        assert mapping is not None
        assert (mapping.status, mapping.disconnected_at) == (MappingStatus.PAUSED, None)


def _is_refused(world: World, name: str) -> bool:
    """Whether Iterable refuses a member that each mirror sends again."""
    truth = world.truth
    is_refused = any(person.email in REFUSED for person in truth.present(name).values())
    return is_refused or bool({UNNAMED, POISON} & truth.known_emails[name])


async def quiet_mirror(world: World, name: str, shape: Shape = Shape.TABLE) -> Run:
    """Mirror an audience without faults, and check that it removes only people who are off the list at the end."""
    mailing_list = world.iterable.state.lists[LISTS[name]]
    seen = len(mailing_list.events)
    file = write(world, name, SyncMode.MIRROR, shape, set())
    run = await sync(world, file, SyncMode.MIRROR, asks=False, trouble=QUIET)
    assert run is not None
    assert run.status is RunStatus.SUCCEEDED, run.error
    if shape is Shape.TABLE:
        assert run.counters.members == len(file.members)
    left = {number for event in mailing_list.events[seen:] if not event.joined for number in event.numbers}
    assert not left & mailing_list.members, "removed and added again"
    return run


async def compare(
    world: World, list_id: int, parts: dict[str, dict[int, Person] | None], shape: Shape = Shape.TABLE
) -> None:
    """Check that a list has the right subscribers.

    `parts` are the members of each mapping, or None for the current audience.
    """
    truth, erased = world.truth, await _forgotten(world)
    kind = truth.project_type
    stranger = STRANGER if kind is ProjectType.EMAIL else STRANGER_ID
    required, possible = {stranger}, set(truth.forgotten)
    for name, part in parts.items():
        members = truth.present(name) if part is None else part
        unsure = set() if part is None else truth.live.unsure | truth.live.unidentified
        for number in unsure:
            possible |= truth.keys_of(number)
        for number, person in members.items():
            key = key_of(person, truth.setting, kind, keyless=part is None and shape is Shape.KEYLESS)
            if key is None or number in erased or (part is not None and person.email is None):
                possible |= truth.known_keys[name].get(number, set())
            elif person.email not in REFUSED and number not in unsure:
                required.add(key)
            elif kind is not ProjectType.EMAIL:  # the user id tells the person, who stays with the former email
                possible |= truth.keys_of(number)
        if not truth.removes(name):
            possible |= set().union(*(truth.keys_of(number) for number in truth.people if number not in members))
            if name in truth.keyless:  # with a new key and a new address, a person is a leaver and a new member
                possible |= set().union(*(truth.known_keys[name].get(number, set()) for number in members))
    if kind is ProjectType.EMAIL:
        keys = world.emails(list_id)
        assert keys - possible == required - possible, list_id
        assert keys >= required, list_id
        return
    on_list = world.iterable.state.members(list_id)
    assert required <= {name for pair in on_list for name in pair}, list_id
    assert not [pair for pair in on_list if not (required | possible) & set(pair)], list_id


async def check_user_ids(world: World, names: list[str]) -> None:
    """Check that each subscriber on a list has the user id of a person with that address.

    This does not hold after every walk: if one mapping has given a person an id that another had replaced before, the
    other mapping does not learn of it.
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
    """The people that a file may not bring back."""
    async with world.engine.database.read() as db:
        record = await erasures.forgotten(db, world.engine.vault, str(mparticle.ACCOUNT_ID))
    if record is None:
        return set()
    digests = set(record.digests)

    def is_forgotten(p: Person) -> bool:
        identities = (("mpid", str(p.mpid)), ("email", p.email), ("customer", p.customer_id))
        return any(value and erasures.digest(record.salt, kind, value) in digests for kind, value in identities)

    return {number for number, person in world.truth.people.items() if is_forgotten(person)}
