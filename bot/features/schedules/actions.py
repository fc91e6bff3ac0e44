"""The actions on schedules: add, pause, resume, remove, run now. Each checks who may do it."""

from bot.features.mapping_lookup import MappingRef, by_id, find, require_start
from bot.features.schedules import views
from bot.features.schedules.form import ScheduleForm
from bot.features.schedules.views import ListedSchedule
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.submission import ModalResult
from bot.ui.blocks import Message, text_message
from bot.ui.formatting import escape
from core.automation import schedules, sources
from core.automation.sources import SourceOptions
from core.connections.permissions import may_start
from core.errors import NotFoundError
from core.store import file_sources
from core.store import schedules as stored_schedules
from core.store.file_sources import FileSource
from core.store.schedules import Schedule


async def add(services: Services, actor: Actor, form: ScheduleForm) -> ModalResult:
    """Set the source of a mapping if it changed, and add a schedule. Raises InputError if the person may not."""
    ref = await by_id(services, actor, form.metadata.mapping_id)
    require_start(ref.connection, actor.person, "schedule its syncs")
    engine = services.engine
    async with engine.database.read() as db:
        source = await file_sources.get(db, ref.mapping.id)
    archive = form.archive or None
    if form.archive is None and source is not None:
        archive = source.archive
    if source is None or (source.address, source.archive) != (form.address, archive):
        await sources.set_source(
            engine,
            ref.mapping,
            SourceOptions(form.address, source.columns if source else {}, source.sheet if source else None, archive),
            by=actor.person,
            team_id=actor.team_id,
            allowed=engine.settings.audience_places(actor.team_id),
        )
    schedule = await schedules.add(engine, ref.mapping, form.options, by=actor.person, team_id=actor.team_id)
    services.wake()
    listed = (await _listed(services, actor, [(schedule, ref)]))[0]
    return ModalResult(views.saved(listed), views.saved_sentence(listed))


async def list_all(services: Services, actor: Actor, text: str) -> list[ListedSchedule]:
    """Return the schedules that a person sees whose name or mapping contains a text."""
    refs = {ref.mapping.id: ref for ref in await find(services, actor)}
    ids = {ref.connection.id for ref in refs.values()}
    async with services.engine.database.read() as db:
        everyone = await stored_schedules.of_connections(db, ids)
    wanted = text.strip().casefold()
    pairs = [(each, refs[each.mapping_id]) for each in everyone if each.mapping_id in refs]
    chosen = [(each, ref) for each, ref in pairs if wanted in f"{each.name} {ref.audience}".casefold()]
    return await _listed(services, actor, chosen)


async def pause(services: Services, actor: Actor, schedule_id: int) -> Message:
    """Pause a schedule. Raises InputError if the person may not."""
    schedule = await _mine(services, actor, schedule_id)
    done = await schedules.pause(services.engine, schedule, by=actor.person, team_id=actor.team_id)
    return await _answer(services, actor, schedule, "is paused" if done else "was paused already")


async def resume(services: Services, actor: Actor, schedule_id: int) -> Message:
    """Resume a paused schedule. Raises InputError if the person may not."""
    schedule = await _mine(services, actor, schedule_id)
    done = await schedules.resume(services.engine, schedule, by=actor.person, team_id=actor.team_id)
    return await _answer(services, actor, schedule, "is resumed" if done else "was not paused")


async def remove(services: Services, actor: Actor, schedule_id: int) -> Message:
    """Remove a schedule. Raises InputError if the person may not."""
    schedule = await _mine(services, actor, schedule_id)
    await schedules.remove(services.engine, schedule, by=actor.person, team_id=actor.team_id)
    return text_message(f"Schedule *{escape(schedule.name)}* is removed. Syncs that it has started continue.")


async def run_now(services: Services, actor: Actor, schedule_id: int) -> Message:
    """Look for new files of a schedule's mapping now. Raises InputError if the person may not."""
    schedule = await _mine(services, actor, schedule_id)
    await schedules.run_now(services.engine, schedule, by=actor.person, team_id=actor.team_id)
    return await _answer(
        services, actor, schedule, "looks for new files now. A file is synced once it has not changed for 30 seconds"
    )


async def source_of(services: Services, ref: MappingRef) -> FileSource | None:
    """Return the source of a mapping."""
    async with services.engine.database.read() as db:
        return await file_sources.get(db, ref.mapping.id)


async def _mine(services: Services, actor: Actor, schedule_id: int) -> Schedule:
    """Return a schedule that a person may change. Raises InputError if there is none, or if they may not."""
    async with services.engine.database.read() as db:
        schedule = await stored_schedules.by_id(db, schedule_id)
    if schedule is None:
        raise NotFoundError("This schedule was removed.")
    connection, _ = await services.mapping(actor, schedule.mapping_id)
    require_start(connection, actor.person, "change its schedules")
    return schedule


async def _answer(services: Services, actor: Actor, schedule: Schedule, words: str) -> Message:
    async with services.engine.database.read() as db:
        current = await stored_schedules.by_id(db, schedule.id)
    ref = await by_id(services, actor, schedule.mapping_id)
    return views.changed((await _listed(services, actor, [(current or schedule, ref)]))[0], words)


async def _listed(services: Services, actor: Actor, pairs: list[tuple[Schedule, MappingRef]]) -> list[ListedSchedule]:
    async with services.engine.database.read() as db:
        places = await file_sources.of_mappings(db, {ref.mapping.id for _, ref in pairs})
    names = {ref.mapping.id: ref.plain for ref in await find(services, actor)}
    return [
        ListedSchedule(
            schedule,
            ref,
            places[ref.mapping.id].address if ref.mapping.id in places else "no source",
            names.get(schedule.after_mapping_id or 0),
        )
        for schedule, ref in pairs
    ]


async def others_of(services: Services, actor: Actor, ref: MappingRef) -> list[MappingRef]:
    """Return the other mappings of a connection that a person may sync."""
    return [
        each
        for each in await find(services, actor)
        if each.connection.id == ref.connection.id
        and each.mapping.id != ref.mapping.id
        and may_start(each.connection, actor.person)
    ]
