"""Operations on syncs: start, see, decide, cancel, retry, undo, and the file of rejected members."""

import asyncio
import csv
import hashlib
import io
import json
import re
import time
from collections.abc import Iterable, Sequence
from functools import partial

from aiohttp import BodyPartReader, web

from bot.web.api.cursors import Cursor
from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import DecisionRequest, Sync, SyncPage, SyncQuery, SyncRequest, WaitQuery
from core.connections.permissions import why_token_may_not_approve
from core.engine import wait_for_any
from core.errors import ConflictError, InputError, PermissionDeniedError, SyncError, ValidationError
from core.models.run import Run, RunRequest
from core.reporting.rejected_csv import CSV_ENCODING, CSV_HEADER, csv_row
from core.runs import approval, commands, undo
from core.runs.approval import Decision
from core.runs.lookup import require_run
from core.runs.uploads import Upload
from core.sources.fetch import check_allowed
from core.store import rejections, runs
from core.store.api_tokens import Scope
from core.store.idempotency_keys import IdempotencyKey
from core.store.mappings import MappingStatus

operations = Operations("Syncs")

#: A request with the same key starts no second sync. A key is kept for a day.
IDEMPOTENCY_KEY = "Idempotency-Key"
#: The header of operations that take a key.
SENT_ONCE = {IDEMPOTENCY_KEY: "A repeated request with the same key (up to 200 characters) starts no second sync."}
#: How long a client that sends files may send nothing, in seconds.
SILENCE_S = 60.0
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
# How often a waiting request looks at its sync, in seconds.
_LOOK_EVERY_S = 0.5
# Rejected members that are written at once.
_ROWS_AT_ONCE = 1_000
_DECISION_ERRORS = {
    Decision.TOO_LATE: "This sync no longer waits for approval: it was decided, cancelled, or is planned again.",
    Decision.CHANGED: "The plan has changed since it was read. Read the sync again, and decide about the new plan.",
    Decision.EXPIRED: "This sync waited for too long, so its approval expired. Start it again.",
}


@operations.add(
    "POST",
    "/syncs",
    Scope.RUN,
    body=SyncRequest,
    result=Sync,
    status=202,
    multipart=True,
    headers=SENT_ONCE,
    errors=(404, 409),
)
async def start_sync(call: Call, body: SyncRequest, upload: Upload | None) -> Sync:
    """Start a sync.

    Send JSON with the address of the audience, or multipart/form-data with the same JSON as the part `request` and
    the audience in one or more parts `file`. The sync is queued, and obeys the approvals and guards of its mapping.
    """
    _, mapping = await call.mapping(body.mapping_id)
    if (body.address is None) == (upload is None):
        raise ValidationError("Give the audience once: as `address`, or as files in a multipart request.")
    if body.address is not None:
        places = call.engine.settings.audience_places(call.token.team_id or "")
        addresses = [check_allowed(body.address, places)]
    else:
        assert upload is not None
        addresses = upload.addresses
    request = RunRequest(
        path=addresses[0],
        more_paths=tuple(addresses[1:]),
        columns={str(key): name for key, name in body.columns.items()},
        sheet=body.sheet,
        audience=body.audience,
        mode=body.mode,
        dry_run=body.dry_run,
        adopts=body.adopts,
    )
    once = idempotency_key(call, [body.model_dump(mode="json"), upload.digests if upload else []])
    start = partial(commands.start, by=call.actor, channel=mapping.channel, team_id=call.token.team_id, once=once)
    if upload is None:
        return await described(call, await start(call.engine, mapping, request))
    upload.is_needed = True  # also if the request is cut off now: the sync may have been started
    try:
        run_id = await start(call.engine, mapping, request)
    except SyncError:
        upload.is_needed = False
        raise
    run = await require_run(call.engine, run_id)
    upload.is_needed = run.request.path == addresses[0]  # otherwise an earlier request with this key has started it
    return await described(call, run_id)


@operations.add("GET", "/syncs", Scope.READ, query=SyncQuery, result=SyncPage)
async def list_syncs(call: Call, query: SyncQuery) -> SyncPage:
    """List syncs, newest first."""
    connection_ids = [connection.id for connection in await call.connections()]
    before = Cursor.read(query.cursor)
    async with call.engine.database.read() as db:
        page = await runs.page(
            db,
            connection_ids,
            limit=query.limit + 1,
            status=query.status,
            mapping_id=query.mapping_id,
            since=query.since.timestamp() if query.since else None,
            before=(before.number, before.id) if before else None,
        )
        by_run = await rejections.by_reason_of(db, [run.id for run in page[: query.limit]])
    shown = page[: query.limit]
    last = Cursor(shown[-1].created_at, shown[-1].id).text if len(page) > query.limit else None
    return SyncPage(items=[Sync.of(run, by_run.get(run.id, {})) for run in shown], next=last)


@operations.add("GET", "/syncs/{sync_id}", Scope.READ, query=WaitQuery, result=Sync, errors=(404,))
async def get_sync(call: Call, query: WaitQuery) -> Sync:
    """Get a sync, and wait for its end if asked to."""
    _, _, run = await call.run()
    end = time.monotonic() + query.wait
    while run.status.is_active and (left := end - time.monotonic()) > 0 and not call.engine.stopping.is_set():
        await wait_for_any(min(_LOOK_EVERY_S, left), call.engine.stopping)
        run = await require_run(call.engine, run.id)
    return await described(call, run.id)


@operations.add("POST", "/syncs/{sync_id}/approve", Scope.APPROVE, body=DecisionRequest, result=Sync, errors=(404, 409))
async def approve_sync(call: Call, body: DecisionRequest) -> Sync:
    """Approve the plan of a sync that waits for approval.

    A token may not approve a sync that it or the person who created it has asked for, unless the connection permits
    people to approve their own.
    """
    connection, mapping, run = await call.run()
    proposed_by = mapping.proposed_by if mapping.status is MappingStatus.PROPOSED else None
    if reason := why_token_may_not_approve(connection, call.token, run.asked_by, proposed_by=proposed_by):
        raise PermissionDeniedError(reason, run_id=run.id)
    decision = await approval.approve(
        call.engine,
        run.id,
        plan_digest=body.plan_digest,
        by=call.actor,
        comment=body.comment,
        team_id=call.token.team_id,
    )
    return await _decided(call, run, decision)


@operations.add("POST", "/syncs/{sync_id}/decline", Scope.APPROVE, body=DecisionRequest, result=Sync, errors=(404, 409))
async def decline_sync(call: Call, body: DecisionRequest) -> Sync:
    """Decline the plan of a sync that waits for approval. Nothing is sent."""
    _, _, run = await call.run()
    decision = await approval.decline(
        call.engine,
        run.id,
        plan_digest=body.plan_digest,
        by=call.actor,
        comment=body.comment,
        team_id=call.token.team_id,
    )
    return await _decided(call, run, decision)


@operations.add("POST", "/syncs/{sync_id}/cancel", Scope.RUN, result=Sync, errors=(404, 409))
async def cancel_sync(call: Call) -> Sync:
    """Cancel a sync.

    What it has sent stays sent. A sync that is being executed stops after the requests under way, so its status changes
    a little later.
    """
    _, _, run = await call.run()
    await commands.cancel(call.engine, run.id, by=call.actor, team_id=call.token.team_id)
    return await described(call, run.id)


@operations.add("POST", "/syncs/{sync_id}/retry", Scope.RUN, result=Sync, status=202, errors=(404, 409))
async def retry_sync(call: Call) -> Sync:
    """Resume a sync that failed or was interrupted, from where it stopped."""
    _, _, run = await call.run()
    await commands.retry(call.engine, run.id, by=call.actor, team_id=call.token.team_id)
    return await described(call, run.id)


@operations.add("POST", "/syncs/{sync_id}/undo", Scope.RUN, result=Sync, status=202, errors=(404, 409))
async def undo_sync(call: Call) -> Sync:
    """Start the undo of a sync: another sync, which needs approval and restores the people's former state."""
    _, mapping, run = await call.run()
    channel = run.channel or mapping.channel
    undo_id = await undo.undo(call.engine, run.id, by=call.actor, channel=channel, team_id=call.token.team_id)
    return await described(call, undo_id)


@operations.add("GET", "/syncs/{sync_id}/rejects", Scope.RUN, media="text/csv", errors=(404,))
async def get_rejects(call: Call) -> web.StreamResponse:
    """Get the rejected members of a sync as CSV, with their addresses, the reasons and the remedies.

    The audit log records it. Rejected members are deleted after a time (by default 30 days).
    """
    _, _, run = await call.run()
    await commands.record_rejections_taken(
        call.engine, run.id, run.counters.rejected, by=call.actor, team_id=call.token.team_id
    )
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="rejects-{run.id}.csv"'})
    response.content_type, response.charset = "text/csv", "utf-8"
    await response.prepare(call.request)
    await response.write("".encode(CSV_ENCODING) + _csv([CSV_HEADER]))
    after_id: int | None = 0
    while after_id is not None:
        async with call.engine.database.read() as db:
            page, after_id = await rejections.page_of_run(db, run.id, after_id=after_id, limit=_ROWS_AT_ONCE)
        await response.write(_csv(map(csv_row, page)))
    await response.write_eof()
    return response


class _Punctual:
    """A file that is sent: the time-out of its request begins again with each piece."""

    def __init__(self, part: BodyPartReader, timeout: asyncio.Timeout) -> None:
        self._part = part
        self._timeout = timeout

    async def read_chunk(self, size: int = BodyPartReader.chunk_size) -> bytes:
        _prolong(self._timeout)
        chunk = await self._part.read_chunk(size)
        _prolong(self._timeout)
        return bytes(chunk)


def _prolong(timeout: asyncio.Timeout) -> None:
    timeout.reschedule(asyncio.get_running_loop().time() + SILENCE_S)


async def read_upload(call: Call) -> tuple[bytes, Upload | None]:
    """Save the files of a multipart request. Returns its JSON, and the files.

    Raises InputError if a part is unknown or missing, ContentTooLargeError if the files are too large or too many, and
    TimeoutError if the client sends nothing for SILENCE_S.
    """
    document: bytes | None = None
    upload = Upload(call.engine.settings.data_dir)
    try:
        async with asyncio.timeout(SILENCE_S) as timeout:
            async for part in await call.request.multipart():
                if not isinstance(part, BodyPartReader) or part.name not in ("request", "file"):
                    raise InputError("A multipart request has the parts `request` (JSON) and `file`.")
                if part.name == "request":
                    document = bytes(await part.read(decode=True))
                else:
                    await upload.save(part.filename or "audience", _Punctual(part, timeout))
    except (AssertionError, ValueError) as error:  # aiohttp, about a malformed body
        upload.remove()
        raise InputError("The body is not valid multipart/form-data.") from error
    except BaseException:
        upload.remove()
        raise
    if document is None:
        upload.remove()
        raise InputError("The part `request` is missing: the JSON object that describes the sync.")
    return document, upload if upload.addresses else None


def idempotency_key(call: Call, content: Sequence[object]) -> IdempotencyKey | None:
    """Return the key of a request with this content (JSON), if it has one. Raises ValidationError if it is wrong."""
    key = call.request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise ValidationError(f"{IDEMPOTENCY_KEY} has 1 to 200 printable ASCII characters, without spaces.")
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return IdempotencyKey(call.token.id, key, digest)


async def _decided(call: Call, run: Run, decision: Decision) -> Sync:
    if decision is not Decision.RECORDED:
        raise ConflictError(_DECISION_ERRORS[decision], run_id=run.id)
    return await described(call, run.id)


async def described(call: Call, run_id: str) -> Sync:
    """Describe a sync as it is now."""
    run = await require_run(call.engine, run_id)
    async with call.engine.database.read() as db:
        return Sync.of(run, await rejections.by_reason(db, run_id))


def _csv(rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
