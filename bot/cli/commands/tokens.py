"""`iterable-sync tokens`: the tokens of the HTTP API."""

from enum import StrEnum
from typing import Annotated

import typer

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command

app = typer.Typer(help="Tokens of the HTTP API.")


class ScopeChoice(StrEnum):
    """What a token permits (core.store.api_tokens.Scope)."""

    READ = "read"
    RUN = "run"
    APPROVE = "approve"
    ADMIN = "admin"


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What uses the token, for the audit log.")],
    scope: Annotated[
        list[ScopeChoice],
        typer.Option(
            help="What it permits: read (no addresses), run, approve, admin. Give the option once for each scope."
        ),
    ],
    workspace: Annotated[
        str | None,
        typer.Option(help="The Slack workspace (T0123...) whose data it sees.", show_default="all"),
    ] = None,
) -> ExitCode:
    """Create a token, and print it on standard output. It is never shown again."""
    return run_command(lambda session: _create(session, name, scope, workspace))


@app.command("list")
def list_() -> ExitCode:
    """List the tokens that are not revoked, and when each was last used."""
    return run_command(_list)


@app.command()
def revoke(name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the token.")]) -> ExitCode:
    """Revoke a token. Requests with it are refused at once."""
    return run_command(lambda session: _revoke(session, name))


async def _create(session: Session, name: str, scopes: list[ScopeChoice], workspace: str | None) -> ExitCode:
    from core.connections import api_tokens
    from core.store.api_tokens import Scope
    from core.store.audit_log import COMMAND_LINE

    chosen = {Scope(scope) for scope in scopes}
    async with session.engine() as engine:
        token, secret = await api_tokens.create(engine, name, chosen, by=COMMAND_LINE, team_id=workspace)
    session.terminal.say(
        f'Token "{token.name}" permits: {", ".join(sorted(token.scopes))}. Store it now; it is not shown again.'
    )
    session.terminal.line(secret)
    return ExitCode.OK


async def _list(session: Session) -> ExitCode:
    from bot.cli.render import table, when
    from core.store import api_tokens

    async with session.engine() as engine, engine.database.read() as db:
        tokens = await api_tokens.of_team(db, None)
    if not tokens:
        session.terminal.line("There are no tokens. Make one with: iterable-sync tokens create NAME --scope read")
        return ExitCode.OK
    columns = ("Name", "Ends with", "Scopes", "Workspace", "Created", "Used")
    rows = [
        (
            token.name,
            token.last4,
            ", ".join(sorted(token.scopes)),
            token.team_id or "all",
            when(token.created_at),
            when(token.last_used_at) if token.last_used_at else "never",
        )
        for token in tokens
    ]
    session.terminal.show(table(columns, rows))
    return ExitCode.OK


async def _revoke(session: Session, name: str) -> ExitCode:
    from core.connections import api_tokens
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        await api_tokens.revoke(engine, name, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f'Token "{name}" is revoked.')
    return ExitCode.OK
