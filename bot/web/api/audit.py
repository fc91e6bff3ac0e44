"""The audit log."""

from bot.web.api.cursors import Cursor
from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import AuditPage, AuditRecord, PageQuery
from core.store import audit_log
from core.store.api_tokens import Scope

operations = Operations("Audit")


@operations.add("GET", "/audit", Scope.ADMIN, query=PageQuery, result=AuditPage)
async def list_audit(call: Call, query: PageQuery) -> AuditPage:
    """List the audit log, oldest first. It contains no address and no key."""
    after = Cursor.read(query.cursor)
    async with call.engine.database.read() as db:
        page = await audit_log.page(
            db, team_id=call.token.team_id, after_id=int(after.number) if after else 0, limit=query.limit + 1
        )
    shown = page[: query.limit]
    last = Cursor(shown[-1].id).text if len(page) > query.limit else None
    return AuditPage(items=[AuditRecord.of(entry) for entry in shown], next=last)
