"""`iterable-sync routes`: the destinations of alerts and events, besides the alert channel in Slack."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.commands.connections import load, typed_secret
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import InputError

if TYPE_CHECKING:
    from core.notifications.route_address import RouteOptions
    from core.store.routes import Route

app = typer.Typer(help="The destinations of alerts and events, besides the alert channel in Slack.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the route.")]


@app.command()
def add(
    name: Name,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="An address that takes events as signed JSON.")
    ] = None,
    pagerduty: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="PagerDuty's Events API: https://events.pagerduty.com or https://events.eu.pagerduty.com.",
        ),
    ] = None,
    email: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="A recipient of e-mails. Repeat it for more.")
    ] = None,
    slack: Annotated[
        str | None, typer.Option(metavar="ID", help="Another channel (C0123...) or person (U0123...) in Slack.")
    ] = None,
    smtp: Annotated[
        str | None, typer.Option(metavar="URL", help="The mail server, such as smtps://user@host:465.")
    ] = None,
    sender: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS", help="The sender of e-mails.", show_default="the user")
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(help="An event, such as run.failed, or run.* for all of runs.", show_default="alert.*"),
    ] = None,
    connection: Annotated[
        str | None, typer.Option(help="The connection whose events it gets.", show_default="all")
    ] = None,
    workspace: Annotated[
        str | None, typer.Option(help="The Slack workspace (T0123...) whose events it gets.", show_default="all")
    ] = None,
    fallback: Annotated[
        bool, typer.Option("--fallback", help="Use it only for alerts that Slack has not shown after 5 minutes.")
    ] = False,
    template: Annotated[
        str | None, typer.Option(metavar="FILE", help="What a webhook sends instead: a file, opsgenie or datadog.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VARIABLE", help="A header of a webhook, with the value of that variable."),
    ] = None,
    secret_stdin: Annotated[bool, typer.Option("--secret-stdin", help="Read the secret from standard input.")] = False,
) -> ExitCode:
    """Add a route. A webhook's signing secret is printed on standard output, and never shown again."""
    addresses = {"webhook": webhook, "pagerduty": pagerduty, "email": smtp if email else None, "slack": slack}
    given = {kind: address for kind, address in addresses.items() if address is not None}
    if len(given) != 1 or bool(email) != (smtp is not None):
        raise typer.BadParameter("give one of --webhook, --pagerduty, --slack, and --email with --smtp.")
    (kind, address), *_ = given.items()

    def options(connection_id: int | None, secret: str) -> "RouteOptions":
        from core.notifications.route_address import ALERTS, RouteOptions
        from core.store.routes import RouteKind

        return RouteOptions(
            name=name,
            kind=RouteKind(kind),
            address=address,
            secret=secret,
            headers=dict(_header(text) for text in header or ()),
            template=_template(template),
            recipients=email or (),
            sender=sender or "",
            events=event or ALERTS,
            connection_id=connection_id,
            is_fallback=fallback,
        )

    async def work(session: Session) -> ExitCode:
        from core.notifications import routes
        from core.store.audit_log import COMMAND_LINE

        needs_secret = kind == "pagerduty" or (kind == "email" and "@" in address)
        secret = _secret(session, is_needed=needs_secret, is_piped=secret_stdin)
        async with session.engine() as engine:
            connection_id = (await load(engine, connection)).id if connection is not None else None
            route, signing = await routes.add(
                engine, options(connection_id, secret), by=COMMAND_LINE, team_id=workspace
            )
        session.terminal.say(
            f'Route "{route.name}" gets {", ".join(route.events)}. Test it: iterable-sync routes test {route.name}'
        )
        if signing and not secret:
            session.terminal.say("Store its signing secret now; it is not shown again.")
            session.terminal.line(signing)
        return ExitCode.OK

    return run_command(work)


@app.command("list")
def list_() -> ExitCode:
    """List the routes, and how many deliveries of each have arrived, wait and have failed."""
    return run_command(_list)


@app.command()
def test(name: Name) -> ExitCode:
    """Send a test event to a route now, and print what the receiver answered."""
    return run_command(lambda session: _test(session, name))


@app.command()
def remove(name: Name) -> ExitCode:
    """Remove a route, with its deliveries."""
    return run_command(lambda session: _remove(session, name))


async def _list(session: Session) -> ExitCode:
    from bot.cli.render import table
    from core.store import connections, deliveries, routes
    from core.store.deliveries import DeliveryStatus

    async with session.engine() as engine, engine.database.read() as db:
        everyone = await routes.everyone(db)
        counts = await deliveries.counts(db)
        names = {each.id: each.label for each in await connections.everyone(db)}
    if not everyone:
        session.terminal.line("There are no routes yet. Add one: iterable-sync routes add NAME --webhook URL")
        return ExitCode.OK

    def number(route: "Route", status: DeliveryStatus) -> str:
        return f"{counts.get((route.id, status), 0):,}"

    rows = [
        (
            route.name,
            route.kind.value + (", fallback" if route.is_fallback else ""),
            route.target,
            ", ".join(route.events),
            names.get(route.connection_id or 0, route.team_id or "all"),
            *(
                number(route, status)
                for status in (DeliveryStatus.DELIVERED, DeliveryStatus.PENDING, DeliveryStatus.FAILED)
            ),
        )
        for route in everyone
    ]
    columns = ("Name", "Kind", "Goes to", "Events", "Of", "Delivered", "Waiting", "Failed")
    session.terminal.show(table(columns, rows, cut=("Name", "Goes to")))
    return ExitCode.OK


async def _test(session: Session, name: str) -> ExitCode:
    from core.notifications import routes
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        route, answer = await routes.test(engine, name, by=COMMAND_LINE, team_id=None)
    if answer.is_taken:
        session.terminal.line(f'Route "{route.name}" works: the receiver took the test ({answer.status_code}).')
        return ExitCode.OK
    session.terminal.line(f'Route "{route.name}" does not work: {answer.error}.')
    return ExitCode.FAILED


async def _remove(session: Session, name: str) -> ExitCode:
    from core.notifications import routes
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        await routes.remove(engine, name, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f'Route "{name}" was removed.')
    return ExitCode.OK


def _secret(session: Session, *, is_needed: bool, is_piped: bool) -> str:
    """Return the secret from standard input, or from the terminal if one is needed. Raises InputError without one."""
    if is_piped:
        return sys.stdin.readline().strip()
    if not is_needed:
        return ""
    if not session.terminal.is_attended:
        raise InputError("This route needs a secret. Give it on standard input: --secret-stdin.")
    with session.interruption.unwatched():
        return typed_secret(session, "Routing key or password (it is not shown): ").strip()


def _header(text: str) -> tuple[str, str]:
    """Return the name and the value of a header. Raises InputError if the variable is not set."""
    name, _, variable = text.partition("=")
    if not name or not variable:
        raise typer.BadParameter("give --header as NAME=VARIABLE, such as Authorization=OPSGENIE_KEY.")
    value = os.environ.get(variable)
    if not value or not value.isprintable() or not name.replace("-", "").isalnum():
        raise InputError(f"The header {name} can't be sent: set the environment variable {variable} to its value.")
    return name, value


def _template(text: str | None) -> str:
    """Return the content of a template's file, or the name of a known template. Raises InputError."""
    from core.notifications.templates import KNOWN

    if text is None or text in KNOWN:
        return text or ""
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(
            "The template can't be read. Give the path of a file in JSON, opsgenie or datadog.", path=text
        ) from error
