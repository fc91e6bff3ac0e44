"""What buttons and commands do to runs: cancelled, retried, repeated. Who may is checked each time."""

from bot.features.mapping_lookup import MappingRef, by_id, find, require_start
from bot.features.runs import views
from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.blocks import Message
from core.connections.permissions import may_start
from core.errors import InputError
from core.models.run import Run
from core.runs import commands
from core.store import runs


async def load(services: Services, actor: Actor, run_id: str) -> tuple[Run, MappingRef]:
    """A run that the person's workspace sees. Raises InputError where there is none."""
    async with services.engine.database.read() as db:
        run = await runs.by_id(db, run_id)
    if run is None:
        raise InputError(f'There is no run "{run_id[:40]}". It may be too long ago.')
    return run, await by_id(services, actor, run.mapping_id)


async def cancel(services: Services, actor: Actor, run_id: str) -> Message:
    """Cancel a run. Raises InputError where it has ended, or where the person may not."""
    run, it = await load(services, actor, run_id)
    require_start(it.connection, actor.person, "cancel its runs")
    at_once = await commands.cancel(services.engine, run_id, by=actor.person, team_id=actor.team_id)
    services.wake()
    return views.cancelled(run, it, at_once=at_once)


async def again(services: Services, actor: Actor, run_id: str) -> Message:
    """Start a run like this one. Raises InputError where that can't be, or where the person may not."""
    run, it = await load(services, actor, run_id)
    require_start(it.connection, actor.person, "start its runs")
    channel = run.channel or actor.channel
    new = await commands.repeat(services.engine, run_id, by=actor.person, channel=channel, team_id=actor.team_id)
    services.wake()
    return views.started_again(new, it, channel)


async def retry(services: Services, actor: Actor, run_id: str) -> Message:
    """Let a run that failed go on. Raises InputError where somebody has done it, or where the person may not."""
    run, it = await load(services, actor, run_id)
    require_start(it.connection, actor.person, "retry its runs")
    await commands.retry(services.engine, run_id, by=actor.person, team_id=actor.team_id)
    services.wake()
    return views.retried(run, it)


async def retry_rejected(services: Services, actor: Actor, run_id: str) -> Message:
    """Try the members again that a run rejected. Raises InputError where there are none, or who may not."""
    run, it = await load(services, actor, run_id)
    require_start(it.connection, actor.person, "start its runs")
    channel = run.channel or actor.channel
    new = await commands.retry_rejected(
        services.engine, run_id, by=actor.person, channel=channel, team_id=actor.team_id
    )
    services.wake()
    return views.retrying_rejected(new, it, channel)


async def cancel_by_name(services: Services, actor: Actor, run_id: str) -> Message:
    """Cancel the run that is named, or the only one under way; where there are several, say which."""
    if run_id:
        return await cancel(services, actor, run_id)
    known = {it.mapping.id: it for it in await find(services, actor) if may_start(it.connection, actor.person)}
    async with services.engine.database.read() as db:
        found = await runs.under_way(db, list(known))
    if not found:
        return views.nothing_to_cancel()
    if len(found) == 1:
        return await cancel(services, actor, found[0].id)
    return views.which_to_cancel([(run, known[run.mapping_id]) for run in found])
