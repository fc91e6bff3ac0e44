"""`iterable-sync deliveries`: what was sent to routes, and what became of it."""

from enum import StrEnum
from typing import Annotated

import typer

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command

app = typer.Typer(help="What was sent to routes, and what became of it.")


class StatusChoice(StrEnum):
    """What became of a delivery (core.store.deliveries.DeliveryStatus)."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


@app.command("list")
def list_(
    route: Annotated[str | None, typer.Option(help="The name of a route.", show_default="all")] = None,
    status: Annotated[StatusChoice | None, typer.Option(help="What became of them.", show_default="all")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> ExitCode:
    """List deliveries, newest first. They are kept for a time (by default 30 days)."""
    return run_command(lambda session: _list(session, route, status, limit))


@app.command()
def replay(
    delivery: Annotated[str | None, typer.Argument(metavar="[DELIVERY]", help="The id of a delivery.")] = None,
    failed: Annotated[
        str | None, typer.Option(metavar="ROUTE", help="Instead: all deliveries that this route has not taken.")
    ] = None,
) -> ExitCode:
    """Send a delivery again, with the same id. `serve` or `worker` sends it."""
    if (delivery is None) == (failed is None):
        raise typer.BadParameter("give the id of a delivery, or --failed ROUTE.")
    return run_command(lambda session: _replay(session, delivery or "", failed))


async def _list(session: Session, name: str | None, status: StatusChoice | None, limit: int) -> ExitCode:
    from bot.cli.render import table, when
    from core.notifications.routes import require
    from core.store import deliveries, routes
    from core.store.deliveries import DeliveryStatus

    async with session.engine() as engine:
        route_id = (await require(engine, name)).id if name is not None else None
        async with engine.database.read() as db:
            wanted = DeliveryStatus(status) if status is not None else None
            latest = await deliveries.latest(db, limit, route_id=route_id, status=wanted)
            known = {route.id: route.name for route in await routes.everyone(db)}
    if not latest:
        session.terminal.line("There are no such deliveries.")
        return ExitCode.OK
    rows = [
        (
            each.id,
            known[each.route_id],
            each.event_type,
            when(each.created_at),
            each.status.value,
            str(each.attempts),
            each.error or (str(each.status_code) if each.status_code else ""),
            when(each.next_at) if each.next_at is not None else "",
        )
        for each in latest
    ]
    columns = ("ID", "Route", "Event", "Created", "Status", "Attempts", "Answer", "Next")
    session.terminal.show(table(columns, rows, cut=("Answer",)))
    return ExitCode.OK


async def _replay(session: Session, delivery_id: str, name: str | None) -> ExitCode:
    from core.notifications import routes
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        if name is not None:
            number = await routes.replay_failed(engine, name, by=COMMAND_LINE, team_id=None)
            session.terminal.line(f'{number:,} deliveries to route "{name}" are sent again.')
            return ExitCode.OK
        delivery = await routes.replay(engine, delivery_id, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f"Delivery {delivery.id} is sent again.")
    session.terminal.say("`iterable-sync serve` or `iterable-sync worker` has to run for that.", "dim")
    return ExitCode.OK
