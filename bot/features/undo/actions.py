"""The runs that a person may undo, and the request to undo one."""

from dataclasses import dataclass

from bot.features.undo.views import UndoCandidate
from bot.services import Services
from bot.slack.actor import Actor
from core.connections.permissions import may_start
from core.errors import InputError
from core.models.run import Run
from core.runs import undo
from core.store import clock, lists, runs
from core.store.connections import Connection
from core.store.mappings import AudienceMapping

# The number of runs that are offered if the person names none.
MOST_OFFERED = 8


@dataclass(frozen=True, slots=True)
class UndoRequest:
    """The run that undoes another one. Its message appears in `channel` (None: in a direct message)."""

    run_id: str
    channel: str | None


async def for_person(services: Services, actor: Actor, run_id: str) -> UndoCandidate:
    """Return a run that a person may undo. Raises InputError if it can't be undone, or if they may not."""
    candidate, _ = await _load(services, actor, run_id)
    await undo.check(services.engine, candidate.run)
    return candidate


async def latest(services: Services, actor: Actor) -> list[UndoCandidate]:
    """Return the latest runs that a person may undo, newest first. Raises InputError if they may undo none."""
    seen = await services.connections(actor)
    mine = [each.id for each in seen if may_start(each, actor.person)]
    if seen and not mine:
        raise InputError(_refusal(seen[0]))
    async with services.engine.database.read() as db:
        kept_since = await clock.now(db) - services.engine.settings.changes_retention_s
        recent = await runs.undo_candidates(db, mine, ended_after=kept_since, limit=MOST_OFFERED)
        names = await lists.names(db, mine)
    return [_undoable(run, names.get((run.connection_id, run.list_id))) for run in recent]


async def submit_undo(services: Services, actor: Actor, run_id: str) -> UndoRequest:
    """Queue the undo of a run; it waits for approval. Raises InputError if that is not possible, or if they may not."""
    candidate, mapping = await _load(services, actor, run_id)
    channel = candidate.run.channel or mapping.channel or actor.channel
    undo_run = await undo.undo(
        services.engine, candidate.run.id, by=actor.person, channel=channel, team_id=actor.team_id
    )
    return UndoRequest(undo_run, channel)


async def _load(services: Services, actor: Actor, run_id: str) -> tuple[UndoCandidate, AudienceMapping]:
    try:
        connection, mapping, run = await services.run(actor, run_id)
    except InputError as error:
        raise InputError(f"{error.message} `/iterable-sync undo` alone shows those that can be undone.") from error
    async with services.engine.database.read() as db:
        target = await lists.get(db, run.connection_id, run.list_id)
    if not may_start(connection, actor.person):
        raise InputError(_refusal(connection))
    return _undoable(run, target.name if target else None), mapping


def _undoable(run: Run, list_name: str | None) -> UndoCandidate:
    list_name = list_name or f"list {run.list_id}"
    return UndoCandidate(run, run.audience or "its audience", list_name)


def _refusal(connection: Connection) -> str:
    return f"Only operators and approvers of {connection.label} can undo its runs. Ask one of them."
