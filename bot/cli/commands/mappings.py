"""`iterable-sync mappings`: which audience goes to which list."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import options
from bot.cli.commands import freezes as freeze_commands
from bot.cli.commands.sync import connection_for
from bot.cli.exit_codes import ExitCode
from bot.cli.mparticle_sizes import audiences_of, size_in_mparticle
from bot.cli.session import Session, run_command
from core.errors import InputError
from core.models.percent import percent

if TYPE_CHECKING:
    from core.engine import Engine
    from core.mparticle.models import KnownAudiences
    from core.store.connections import Connection
    from core.store.mappings import AdditionLimits, AudienceMapping

app = typer.Typer(help="Which audience goes to which list.")
app.command()(freeze_commands.freeze)
app.command()(freeze_commands.unfreeze)


class OthersChoice(StrEnum):
    """What happens to people on an adopted list who are not in the audience."""

    LEAVE = "leave"
    REMOVE = "remove"


@app.command()
def add(
    list_id: options.ListId,
    audience: Annotated[str | None, typer.Option(help="The audience's id or name.")] = None,
    connection: options.ConnectionName = None,
    mode: options.Mode = options.ModeChoice.AUTO,
    data_center: options.DataCenter = None,
    max_add: options.MaxAdd = None,
    max_add_percent: options.MaxAddPercent = None,
    field: options.NewFields = None,
) -> ExitCode:
    """Save a mapping. A sync to a list without one creates it."""
    limits = options.addition_limits(max_add, max_add_percent)
    return run_command(lambda session: _add(session, list_id, audience, connection, mode, data_center, limits, field))


@app.command("list")
def list_(
    archived: Annotated[bool, typer.Option("--archived", help="List the archived mappings instead.")] = False,
) -> ExitCode:
    """List the mappings."""
    return run_command(lambda session: _list(session, archived=archived))


@app.command()
def show(mapping_id: options.MappingId) -> ExitCode:
    """Show a mapping."""
    return run_command(lambda session: _show(session, mapping_id))


@app.command()
def adopt(
    mapping_id: options.MappingId,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="The whole audience, in a form that sync reads.")
    ],
    others: Annotated[
        OthersChoice, typer.Option(help="People on the list who are not in the audience: leave them, or remove them.")
    ] = OthersChoice.LEAVE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes, and send nothing.")] = False,
    yes: options.YesInAdvance = False,
) -> ExitCode:
    """Take over a list that another tool has filled: people in the audience who are on it become ours.

    Nothing is sent for them. Exit codes are those of sync.
    """
    return run_command(lambda session: _adopt(session, mapping_id, files, others, dry_run=dry_run, yes=yes))


async def _add(
    session: Session,
    list_id: int,
    audience: str | None,
    connection_name: str | None,
    mode: options.ModeChoice,
    data_center: options.DataCenterChoice | None,
    limits: "AdditionLimits",
    field: list[str] | None,
) -> ExitCode:
    from bot.ui.audience_words import counted
    from core.connections import mapping_lifecycle
    from core.connections.lists import check_list
    from core.connections.mparticle import choose_audience
    from core.planning.removal_limits import WHEN_MAPPED
    from core.store.audit_log import COMMAND_LINE
    from core.store.mappings import MappingStatus

    fields = options.chosen_fields(field, no_fields=False)
    async with session.engine() as engine:
        connection = await connection_for(engine, connection_name, data_center=data_center)
        target = await check_list(engine, connection, list_id)
        known = await audiences_of(session, engine, connection.id) if audience else None
        chosen = choose_audience(known, audience) if known and audience else None
        mapping = await mapping_lifecycle.propose(
            engine,
            connection,
            target,
            audience=chosen.id if chosen else audience,
            audience_name=chosen.name if chosen else None,
            mode=mode.value,
            by=COMMAND_LINE,
            team_id=None,
            status=MappingStatus.PROPOSED if fields else MappingStatus.ACTIVE,
            limits=limits,
            fields=fields,
        )
    audience_text = f"audience {_audience(mapping)}" if audience else "any audience"
    session.terminal.line(f'Mapping {mapping.id}: {audience_text} to list {list_id} "{target.name}".')
    if chosen is not None:
        session.terminal.line(f"In mParticle: {counted(chosen)}.")
    elif known is not None:
        session.terminal.say(f'mParticle has no active audience "{audience}". It was saved as you typed it.', "yellow")
    if mode is not options.ModeChoice.ADD:
        session.terminal.say(WHEN_MAPPED, "dim")
    return ExitCode.OK


async def _adopt(
    session: Session, mapping_id: int, files: list[str], others: OthersChoice, *, dry_run: bool, yes: bool
) -> ExitCode:
    from bot.cli.audience_files import addresses, remove_saved
    from bot.cli.run_session import run_to_completion
    from core.models.run import OthersOnList, RunRequest
    from core.runs import worker
    from core.runs.submission import submit
    from core.store import connections

    paths = addresses(files, session.settings.data_dir)
    async with session.engine(executes=True) as engine:
        mapping = await load_mapping(engine, mapping_id)
        async with engine.database.read() as db:
            connection = await connections.by_id(db, mapping.connection_id)
        assert connection is not None
        request = RunRequest(
            path=paths[0],
            more_paths=tuple(paths[1:]),
            audience=mapping.audience_id or mapping.audience_name,
            dry_run=dry_run,
            approved=yes,
            adopts=OthersOnList(others.value),
        )
        submission = await submit(engine, connection, mapping.list_id, request)
        session.terminal.say(f'Run {submission.run_id} takes over list {mapping.list_id} "{submission.target.name}"')
        code = await run_to_completion(session, engine, submission.run_id, worker.start(engine, submission.run_id))
        if code in (ExitCode.OK, ExitCode.BAD_INPUT):  # otherwise the run can be resumed
            remove_saved(paths, session.settings.data_dir)
        return code


async def _list(session: Session, *, archived: bool) -> ExitCode:
    from bot.cli.render import list_text, table
    from core.store import connections, mappings
    from core.store.mappings import MappingStatus

    rows: list[tuple[str, ...]] = []
    is_asked = False
    async with session.engine() as engine:
        async with engine.database.read() as db:
            saved = await connections.everyone(db)
            of_each = {
                each.id: [
                    mapping
                    for mapping in await mappings.of_connection(db, each.id)
                    if (mapping.status is MappingStatus.ARCHIVED) is archived
                ]
                for each in saved
            }
            sizes = await mappings.sizes(db, [mapping.id for each in of_each.values() for mapping in each])
        for connection in saved:
            known = await audiences_of(session, engine, connection.id) if of_each[connection.id] else None
            is_asked |= known is not None
            for m in of_each[connection.id]:
                counts = (f"{sizes.get(m.id, 0):,}", size_in_mparticle(known, m))
                rows.append(
                    (str(m.id), m.name or _audience(m), list_text(m.list_id), connection.label, m.mode, *counts)
                )
    if not rows:
        none_yet = "There are no mappings yet. The first sync to a list creates one."
        session.terminal.line("No mapping is archived." if archived else none_yet)
        return ExitCode.OK
    columns: tuple[str, ...] = ("ID", "Audience", "List", "Connection", "Mode", "Synced", "In mParticle")
    if not is_asked:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    session.terminal.show(table(columns, rows, numbers=("Synced", "In mParticle"), cut=("Audience",)))
    return ExitCode.OK


async def _show(session: Session, mapping_id: int) -> ExitCode:
    from bot.cli.commands.freezes import campaign_texts, freeze_text
    from bot.cli.render import facts, list_text, when
    from bot.ui.schedule_words import phrase
    from core.models.data_fields import fields_text
    from core.models.exclusions import exclusions_text
    from core.planning.guards import changes_text
    from core.store import campaigns, file_sources, freezes, lists, mappings, schedules

    async with session.engine() as engine:
        mapping = await load_mapping(engine, mapping_id)
        connection = await load_connection(engine, mapping)
        async with engine.database.read() as db:
            stored_list = await lists.get(db, mapping.connection_id, mapping.list_id)
            sizes = await mappings.sizes(db, [mapping_id])
            freeze = await freezes.of_mapping(db, mapping_id)
            due = await campaigns.of_list(db, mapping.connection_id, mapping.list_id)
            source = await file_sources.get(db, mapping_id)
            of_mapping = await schedules.of_mapping(db, mapping_id)
        known = await audiences_of(session, engine, mapping.connection_id)
    before = "" if mapping.freeze_before_s is None else f"{mapping.freeze_before_s / 60:g} minutes before campaigns"
    place = "mParticle, live" if mapping.is_live else source.address if source is not None else "by hand"
    session.terminal.show(
        facts(
            [
                ("Mapping", f"{mapping.id} {mapping.name}" if mapping.name else str(mapping.id)),
                ("Audience", _audience(mapping)),
                ("List", f'{list_text(mapping.list_id)} "{stored_list.name}"' if stored_list else str(mapping.list_id)),
                ("Connection", connection.label),
                ("Mode", mapping.mode),
                ("Status", status_text(mapping)),
                *([("Managed by", "a configuration file")] if mapping.managed is not None else []),
                ("Channel", mapping.channel or "none"),
                ("Operators", ", ".join(mapping.operators) or "those of the connection"),
                ("Approvers", ", ".join(mapping.approvers) or "those of the connection"),
                ("Source", place),
                *(("Schedule", f"{each.name}: {phrase(each)}") for each in of_mapping),
                ("Waits if it adds", limits_text(mapping)),
                ("Waits if it removes", removal_limit_text(mapping)),
                ("Data fields", fields_text(mapping.fields) or "none"),
                ("Excluded", exclusions_text(mapping.exclusions) or "no one"),
                *([("To approve", changes_text(mapping))] if mapping.change_before is not None else []),
                ("Members synced", f"{sizes.get(mapping_id, 0):,}"),
                ("Frozen", freeze_text(freeze)),
                ("Freezes", before or "not before campaigns"),
                ("Campaigns", campaign_texts(due)),
                *([("In mParticle", _in_mparticle(known, mapping))] if known else []),
                ("Since", when(mapping.created_at)),
            ]
        )
    )
    return ExitCode.OK


def _in_mparticle(known: "KnownAudiences", mapping: "AudienceMapping") -> str:
    from bot.ui.audience_words import counted

    audience = known.of(mapping.audience_id, mapping.audience_name)
    return "no active audience" if audience is None else counted(audience)


async def load_mapping(engine: "Engine", mapping_id: int) -> "AudienceMapping":
    """Return a mapping. Raises InputError if there is none."""
    from core.store import mappings

    async with engine.database.read() as db:
        mapping = await mappings.by_id(db, mapping_id)
    if mapping is None:
        raise InputError(f"There is no mapping {mapping_id}. `iterable-sync mappings list` shows those that there are.")
    return mapping


async def load_connection(engine: "Engine", mapping: "AudienceMapping") -> "Connection":
    """Return the connection of a mapping."""
    from core.store import connections

    async with engine.database.read() as db:
        connection = await connections.by_id(db, mapping.connection_id)
    assert connection is not None  # a mapping is deleted with its connection
    return connection


def limits_text(mapping: "AudienceMapping") -> str:
    """Return the additions above which a sync of a mapping waits for approval."""
    from core.planning.source_guards import MAX_ADDED, MAX_ADDED_SHARE

    number = MAX_ADDED if mapping.max_added is None else mapping.max_added
    share = MAX_ADDED_SHARE if mapping.max_added_share is None else mapping.max_added_share
    return f"more than {number:,} people and more than {percent(share)} of those who were synced before"


def removal_limit_text(mapping: "AudienceMapping") -> str:
    """Return the removals above which a sync of a mapping waits for approval."""
    from core.planning.guards import MASS_REMOVAL_SHARE

    share = MASS_REMOVAL_SHARE if mapping.max_removed_share is None else mapping.max_removed_share
    return f"more than {percent(share)} of those who were synced before"


def status_text(mapping: "AudienceMapping") -> str:
    """Return the status of a mapping, and when an archived one is deleted."""
    from bot.cli.render import when
    from bot.ui.status_words import MAPPING_STATUSES

    words = MAPPING_STATUSES[mapping.status].lower()
    return words if mapping.delete_at is None else f"{words}, deleted {when(mapping.delete_at)}"


def _audience(mapping: "AudienceMapping") -> str:
    if mapping.audience_name and mapping.audience_id:
        return f"{mapping.audience_name} ({mapping.audience_id})"
    return mapping.audience_name or mapping.audience_id or "(any)"
