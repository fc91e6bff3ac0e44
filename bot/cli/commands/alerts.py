"""`iterable-sync alerts`: alerts that are open, the rules that open them, and a test of the routes."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.commands.connections import load
from bot.cli.commands.mappings import load_mapping
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import InputError

if TYPE_CHECKING:
    from core.engine import Engine
    from core.store.alert_rules import RuleSetting

app = typer.Typer(help="Alerts that are open, and the rules that open them.")


class RuleChoice(StrEnum):
    """An alert rule (core.store.alert_rules.Rule)."""

    REJECTED_SHARE = "rejected_share"
    NEW_REASON = "new_reason"
    DEVIATION = "deviation"
    RUN_TIME = "run_time"
    OVERDUE = "overdue"
    BACKLOG = "backlog"
    DRIFT = "drift"


Connection = Annotated[str | None, typer.Option("--connection", help="The rules of a connection, for its mappings.")]
Mapping = Annotated[int | None, typer.Option("--mapping", min=1, help="The rules of a mapping, by its id.")]


@app.command("list")
def list_() -> ExitCode:
    """List the open alerts."""
    return run_command(_list)


@app.command()
def test() -> ExitCode:
    """Send a test to all routes now, and print what the receivers answered."""
    return run_command(_test)


@app.command()
def rules(connection: Connection = None, mapping: Mapping = None) -> ExitCode:
    """List the alert rules of a connection or a mapping, and which were changed."""
    return run_command(lambda session: _rules(session, connection, mapping))


@app.command("set-rule")
def set_rule(
    rule: Annotated[RuleChoice, typer.Argument(metavar="RULE", help="The rule.")],
    connection: Connection = None,
    mapping: Mapping = None,
    limit: Annotated[
        float | None, typer.Option(help="The limit, in the unit of the rule.", show_default="what is usual")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Turn the rule off.")] = False,
    default: Annotated[bool, typer.Option("--default", help="Go back to the default, or to the connection's.")] = False,
) -> ExitCode:
    """Change an alert rule of a connection or of a mapping."""
    if (limit is not None) + off + default > 1:
        raise typer.BadParameter("give one of --limit, --off and --default.")
    return run_command(lambda session: _set_rule(session, rule, connection, mapping, limit, off=off, default=default))


async def _list(session: Session) -> ExitCode:
    from bot.cli.render import table, when
    from core.store import alerts, connections, mappings

    async with session.engine() as engine, engine.database.read() as db:
        current = [alert for alert in await alerts.current(db) if alert.closed_at is None]
        by_id = await mappings.by_ids(db, {each.mapping_id for each in current if each.mapping_id is not None})
        names = {each.id: each.label for each in await connections.everyone(db)}
    if not current:
        session.terminal.line("No alert is open.")
        return ExitCode.OK
    rows = [
        (
            str(each.id),
            when(each.opened_at),
            names[each.connection_id],
            by_id[each.mapping_id].label if each.mapping_id in by_id else "all",
            each.code,
            each.message,
        )
        for each in current
    ]
    session.terminal.show(table(("ID", "Since", "Connection", "Audience", "Code", "Message"), rows, cut=("Message",)))
    return ExitCode.OK


async def _test(session: Session) -> ExitCode:
    from core.notifications import routes as route_commands
    from core.store import routes
    from core.store.audit_log import COMMAND_LINE
    from core.store.routes import RouteKind

    failed = 0
    async with session.engine() as engine:
        async with engine.database.read() as db:
            tested = [route for route in await routes.everyone(db) if route.kind is not RouteKind.SLACK]
        for route in tested:
            _, answer = await route_commands.test(engine, route.name, by=COMMAND_LINE, team_id=None)
            failed += not answer.is_taken
            result = "works" if answer.is_taken else f"does not work: {answer.error}"
            session.terminal.line(f'Route "{route.name}" {result}.')
    if not tested:
        session.terminal.line("There are no routes yet. Add one: iterable-sync routes add NAME --webhook URL")
    return ExitCode.FAILED if failed else ExitCode.OK


async def _rules(session: Session, connection: str | None, mapping: int | None) -> ExitCode:
    from bot.cli.render import table
    from bot.ui.rule_words import RULE_NAMES
    from core.store import alert_rules

    async with session.engine() as engine:
        connection_id, mapping_id = await _subject(engine, connection, mapping)
        async with engine.database.read() as db:
            settings = await alert_rules.settings(db, connection_id, mapping_id)
    rows = []
    for rule, (name, unit) in RULE_NAMES.items():
        origin = "mapping" if rule in settings.of_mapping else "connection" if rule in settings.of_connection else ""
        rows.append((rule.value, name, _shown(settings.get(rule), unit), origin or "default"))
    session.terminal.show(table(("Rule", "Alerts when", "Limit", "Set for"), rows))
    return ExitCode.OK


async def _set_rule(
    session: Session,
    choice: RuleChoice,
    connection: str | None,
    mapping: int | None,
    limit: float | None,
    *,
    off: bool,
    default: bool,
) -> ExitCode:
    from bot.ui.rule_words import RULE_NAMES
    from core.notifications.rule_settings import set_rules
    from core.store.alert_rules import Rule, RuleSetting
    from core.store.audit_log import COMMAND_LINE

    rule, setting = Rule(choice), None if default else RuleSetting(not off, limit)
    async with session.engine() as engine:
        connection_id, mapping_id = await _subject(engine, connection, mapping)
        await set_rules(engine, connection_id, mapping_id, {rule: setting}, by=COMMAND_LINE, team_id=None)
    shown = "the default" if setting is None else _shown(setting, RULE_NAMES[rule][1])
    session.terminal.line(f"Rule {rule}: {shown}.")
    return ExitCode.OK


def _shown(setting: "RuleSetting", unit: str) -> str:
    if not setting.is_on:
        return "off"
    return "what is usual" if setting.threshold is None else f"{setting.threshold:g} {unit}"


async def _subject(engine: "Engine", connection: str | None, mapping: int | None) -> tuple[int, int | None]:
    """Return the ids of the connection and the mapping. Raises InputError if not one of them was given."""
    if (connection is None) == (mapping is None):
        raise InputError("Give --connection or --mapping.")
    if mapping is not None:
        known = await load_mapping(engine, mapping)
        return known.connection_id, known.id
    return (await load(engine, connection or "")).id, None
