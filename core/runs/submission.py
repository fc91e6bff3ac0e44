"""Submission of runs: a request becomes a queued run after all checks that need no planning."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections import mapping_lifecycle
from core.connections.data_fields import choose_fields
from core.connections.lists import check_list, note_list
from core.connections.project_type import learn_project_type
from core.engine import Engine
from core.errors import ConflictError, NotFoundError, SeveralMappingsError
from core.identity import UserIdField
from core.iterable import IterableList
from core.models.data_fields import DataFields, check_fields
from core.models.run import RunRequest
from core.runs.addresses import sealed
from core.store import audit_log, connections, mappings, runs
from core.store.audit_log import COMMAND_LINE, AuditAction
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus

#: How many runs of a connection may be queued at a time.
MAX_QUEUED_RUNS = 50


@dataclass(frozen=True, slots=True)
class Submission:
    """A queued run, and its list."""

    run_id: str
    target: IterableList


async def submit(
    engine: Engine,
    connection: Connection,
    list_id: int,
    request: RunRequest,
    *,
    rate: float | None = None,
    by: str = COMMAND_LINE,
    fields: DataFields | None = None,
) -> Submission:
    """Check a sync request, find or create its mapping, and store the run, which this process has to execute.

    `rate` replaces the connection's requests per second, `fields` the data fields of the mapping, which then has to be
    approved (None: they stay; a dry run does not change them). Raises a SyncError if the run can't start: for example
    ConflictError if the mapping is paused, SeveralMappingsError, or an IterableError from the check of the list.
    """
    target = await check_list(engine, connection, list_id)
    await learn_project_type(engine, connection.id)
    async with engine.database.write() as db:
        await connections.change(db, connection.id, key_rejected_at=None)  # the key has just worked
        await note_list(db, connection.id, target)
        mapping = await _find_or_add_mapping(db, connection, target, request.audience, by=by)
        await check_may_run(db, mapping.id, request)
        if fields is not None and request.dry_run:
            request = request.model_copy(update={"fields": check_fields(fields)})
        elif fields is not None:
            await choose_fields(db, mapping, fields, by=by, team_id=None)
        await check_queue(db, connection.id)
        run_id = runs.new_id()
        await runs.add(
            db,
            run_id=run_id,
            mapping=mapping,
            mode=request.mode or "mirror",
            user_id_field=connection.user_id_field.value,
            rate=connection.requests_per_second if rate is None else rate,
            request=sealed(engine.vault, request),
            worker_id=engine.presence.id,
        )
        await record_start(db, run_id, mapping, request, by=by, team_id=None)
    return Submission(run_id, target)


async def record_start(
    db: AsyncConnection, run_id: str, mapping: AudienceMapping, request: RunRequest, *, by: str, team_id: str | None
) -> None:
    """Write the audit entry of a run that a person started."""
    after = {"mapping": mapping.id, "mode": request.mode} | ({"adopts": request.adopts} if request.adopts else {})
    subject = f"run:{run_id}"
    await audit_log.add(db, team_id=team_id, actor=by, action=AuditAction.RUN_STARTED, subject=subject, after=after)


async def enqueue(
    db: AsyncConnection,
    connection: Connection,
    mapping: AudienceMapping,
    request: RunRequest,
    *,
    user_id: UserIdField | None = None,
    started_by: str | None = None,
    channel: str | None = None,
    undo_of: str | None = None,
    worker_id: str | None = None,
) -> str:
    """Queue a run of a mapping for any worker (or for `worker_id`), and return its id.

    The caller commits the transaction and sets `engine.queued`. `started_by` and `channel` are a person and a
    conversation in Slack, `user_id` replaces the connection's User ID setting, `undo_of` is the run to undo. Raises
    NotFoundError if the mapping was removed meanwhile, and ConflictError if it was paused or declined, or if too many
    runs of the connection are queued.
    """
    current = await check_may_run(db, mapping.id, request)
    await check_queue(db, connection.id)
    run_id = runs.new_id()
    await runs.add(
        db,
        run_id=run_id,
        mapping=current,
        mode=request.mode or ("mirror" if current.mode == "auto" else current.mode),
        user_id_field=(user_id or connection.user_id_field).value,
        rate=connection.requests_per_second,
        request=request,
        started_by=started_by,
        channel=channel,
        undo_of=undo_of,
        worker_id=worker_id,
    )
    return run_id


async def check_queue(db: AsyncConnection, connection_id: int) -> None:
    """Raise ConflictError if a connection has MAX_QUEUED_RUNS: more would delay the runs of other connections."""
    if await runs.queued_count(db, connection_id) >= MAX_QUEUED_RUNS:
        connection = await connections.by_id(db, connection_id)
        name = connection.label if connection is not None else "this connection"
        raise ConflictError(
            f"{MAX_QUEUED_RUNS} runs of {name} wait already, so no other run was started. Wait until some have ended, "
            "or cancel those that are not needed."
        )


async def check_may_run(db: AsyncConnection, mapping_id: int, request: RunRequest) -> AudienceMapping:
    """Return a mapping if a run with this request may start. Whatever starts, resumes or retries a run calls this.

    Everyone can be taken off the list of a paused mapping, too. Raises NotFoundError if the mapping was removed, and
    ConflictError if it is paused, archived or was declined.
    """
    mapping = await mappings.by_id(db, mapping_id)
    if mapping is None:
        message = "This mapping was removed, so nothing is sent. Map the audience to a list again."
        raise NotFoundError(message, mapping_id=mapping_id)
    if not request.empties:
        check_mapping_active(mapping)
    return mapping


def check_mapping_active(mapping: AudienceMapping) -> None:
    """Raise ConflictError if a mapping is paused, archived or was declined."""
    name = f"The mapping of {mapping.label} to list {mapping.list_id}"
    if mapping.status is MappingStatus.PAUSED:
        message = f"{name} is paused, so nothing is sent. Resume the mapping, and start the run again."
        raise ConflictError(message, mapping_id=mapping.id)
    if mapping.status is MappingStatus.DECLINED:
        message = f"{name} was declined, so nothing is sent. Propose it again and have it approved."
        raise ConflictError(message, mapping_id=mapping.id)
    if mapping.status is MappingStatus.ARCHIVED:
        message = f"{name} is archived, so nothing is sent. Restore the mapping, and start the run again."
        raise ConflictError(message, mapping_id=mapping.id)


async def _find_or_add_mapping(
    db: AsyncConnection, connection: Connection, target: IterableList, audience: str | None, *, by: str
) -> AudienceMapping:
    """Return the list's mapping of this audience (None: its only mapping), or add a mapping if there is none.

    Raises SeveralMappingsError if the audience does not decide between several mappings.
    """
    of_list = await mappings.of_connection(db, connection.id, target.id)
    if audience is not None:
        candidates = [mapping for mapping in of_list if mapping.is_of(audience)]
    else:
        unused = await mappings.never_planned(db, [mapping.id for mapping in of_list])
        candidates = [mapping for mapping in of_list if mapping.id not in unused] or of_list[:1]
    if len(candidates) > 1:
        names = ", ".join(sorted(mapping.label for mapping in candidates))
        raise SeveralMappingsError(
            f"List {target.id} is fed by several audiences ({names}). Choose one of them.", list_id=target.id
        )
    if candidates:
        return candidates[0]
    return await mapping_lifecycle.add(
        db, connection, target, audience, mode="auto", status=MappingStatus.ACTIVE, by=by, team_id=None
    )
