"""The actions on runs: cancel, repeat, retry. Each checks who may do it."""

from collections.abc import Mapping

from bot.features.mapping_lookup import MappingRef, find, named, require_start
from bot.features.runs import views
from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.blocks import Message
from core.connections.permissions import may_start
from core.models.run import Run
from core.runs import automatic_retry, commands
from core.store import runs


async def load(services: Services, actor: Actor, run_id: str) -> tuple[Run, MappingRef]:
    """Return a run that the person's workspace sees, and its mapping. Raises InputError if there is none."""
    connection, mapping, run = await services.run(actor, run_id)
    return run, (await named(services, [(connection, mapping)]))[0]


async def cancel(services: Services, actor: Actor, run_id: str) -> Message:
    """Cancel a run. Raises InputError if it has ended, or if the person may not."""
    run, ref = await load(services, actor, run_id)
    require_start(ref.connection, actor.person, "cancel its runs")
    at_once = await commands.cancel(services.engine, run_id, by=actor.person, team_id=actor.team_id)
    services.wake()
    return views.cancelled(run, ref, at_once=at_once)


async def send(services: Services, actor: Actor, run_id: str) -> Message:
    """Start a run that does what a preview has shown. Raises InputError as `again` does."""
    return await again(services, actor, run_id, sends=True)


async def again(
    services: Services, actor: Actor, run_id: str, *, columns: Mapping[str, str] | None = None, sends: bool = False
) -> Message:
    """Start a run with the same source, and with these chosen columns. `sends`: it is no preview.

    Raises InputError if that is not possible, or if the person may not.
    """
    run, ref = await load(services, actor, run_id)
    require_start(ref.connection, actor.person, "start its runs")
    channel = run.channel or actor.channel
    new = await commands.repeat(
        services.engine, run_id, by=actor.person, channel=channel, team_id=actor.team_id, columns=columns, sends=sends
    )
    services.wake()
    return views.started(new, ref, channel) if sends else views.started_again(new, ref, channel)


async def retry(services: Services, actor: Actor, run_id: str) -> Message:
    """Resume a failed run. Raises InputError if someone did already, or if the person may not."""
    run, ref = await load(services, actor, run_id)
    require_start(ref.connection, actor.person, "retry its runs")
    await commands.retry(services.engine, run_id, by=actor.person, team_id=actor.team_id)
    services.wake()
    return views.retried(run, ref)


async def stop_retrying(services: Services, actor: Actor, run_id: str) -> Message:
    """Retry a failed run no longer automatically. Raises InputError if it would not be, or if the person may not."""
    run, ref = await load(services, actor, run_id)
    require_start(ref.connection, actor.person, "stop its retries")
    await automatic_retry.stop_retrying(services.engine, run_id, by=actor.person, team_id=actor.team_id)
    services.wake()
    return views.not_retried(run, ref)


async def retry_rejected(services: Services, actor: Actor, run_id: str) -> Message:
    """Start a run of the members that a run rejected. Raises InputError if there are none, or if the person may not."""
    run, ref = await load(services, actor, run_id)
    require_start(ref.connection, actor.person, "start its runs")
    channel = run.channel or actor.channel
    new = await commands.retry_rejected(
        services.engine, run_id, by=actor.person, channel=channel, team_id=actor.team_id
    )
    services.wake()
    return views.retrying_rejected(new, ref, channel)


async def cancel_by_name(services: Services, actor: Actor, run_id: str) -> Message:
    """Cancel the named run, or the only active one. If there are several, return the choice."""
    if run_id:
        return await cancel(services, actor, run_id)
    startable = {ref.mapping.id: ref for ref in await find(services, actor) if may_start(ref.connection, actor.person)}
    async with services.engine.database.read() as db:
        active = await runs.under_way(db, list(startable))
    if not active:
        return views.nothing_to_cancel()
    if len(active) == 1:
        return await cancel(services, actor, active[0].id)
    return views.which_to_cancel([(run, startable[run.mapping_id]) for run in active])
