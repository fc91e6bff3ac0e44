"""`iterable-sync audit`: who did what."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command

if TYPE_CHECKING:
    from core.store.audit_log import AuditEntry

# Entries that are read at once.
_CHUNK = 1_000

app = typer.Typer(help="The audit log: who did what, and when.")


@app.callback()
def audit() -> None:
    """The audit log: who did what, and when."""


@app.command()
def export(
    after: Annotated[int, typer.Option(min=0, help="Only entries whose id is above this one.")] = 0,
) -> ExitCode:
    """Print the audit log as JSON lines, oldest first, for a SIEM. It contains no address and no key."""
    return run_command(lambda session: _export(session, after))


async def _export(session: Session, after: int) -> ExitCode:
    from core.store import audit_log

    async with session.engine() as engine:
        while True:
            async with engine.database.read() as db:
                page = await audit_log.page(db, team_id=None, after_id=after, limit=_CHUNK)
            for entry in page:
                print(_line(entry))
            if len(page) < _CHUNK:
                return ExitCode.OK
            after = page[-1].id


def _line(entry: "AuditEntry") -> str:
    from bot.cli.render import utc

    return json.dumps(
        {
            "id": entry.id,
            "at": utc(entry.at),
            "workspace": entry.team_id,
            "actor": entry.actor,
            "action": entry.action.value,
            "subject": entry.subject,
            "before": entry.before,
            "after": entry.after,
        }
    )
