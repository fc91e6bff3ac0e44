"""`iterable-sync mappings edit`, `archive`, `delete` and their like: what becomes of a mapping."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bot.cli import options, people
from bot.cli.commands.mappings import limits_text, load_connection, load_mapping, removal_limit_text
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.connections.mapping_end import DeletionSummary
    from core.connections.mapping_settings import MappingEdit
    from core.store.mappings import AudienceMapping

NONE = "none"


class RemovalsChoice(StrEnum):
    """What happens to people who leave the audience."""

    REMOVE = "remove"
    ASK = "ask"
    KEEP = "keep"


class MembersChoice(StrEnum):
    """What happens to the people on the list of a mapping that is deleted."""

    LEAVE = "leave"
    REMOVE = "remove"


def edit(
    mapping_id: options.MappingId,
    name: Annotated[str | None, typer.Option(help="What people call it; none: the name of its audience.")] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="CHANNEL", help="The id of the Slack channel that shows its syncs, or none.")
    ] = None,
    max_add: options.MaxAdd = None,
    max_add_percent: options.MaxAddPercent = None,
    max_remove_percent: options.MaxRemovePercent = None,
    mode: Annotated[options.ModeChoice | None, typer.Option(help="As for mappings add. Needs approval.")] = None,
    removals: Annotated[
        RemovalsChoice | None,
        typer.Option(help="People who leave the audience: remove them, ask each time, keep them. Needs approval."),
    ] = None,
    operator: people.Operators = None,
    approver: people.Approvers = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve the change.")] = False,
) -> ExitCode:
    """Change a mapping. What is not given stays as it is.

    If the mode or the removals change, the next sync asks for approval; --yes approves it here.
    """
    wanted: MappingEdit = {}
    if mode is not None:
        wanted["mode"] = mode.value
    if name is not None:
        wanted["name"] = None if name == NONE else name
    if channel is not None:
        wanted["channel"] = None if channel == NONE else channel
    if max_add is not None:
        wanted["max_added"] = max_add
    if max_add_percent is not None:
        wanted["max_added_share"] = options.share_of(max_add_percent)
    if max_remove_percent is not None:
        wanted["max_removed_share"] = options.share_of(max_remove_percent)
    named = {"operators": operator, "approvers": approver}
    return run_command(lambda session: _edit(session, mapping_id, wanted, removals, named, yes=yes))


def set_limits(
    mapping_id: options.MappingId,
    max_add: options.MaxAdd = None,
    max_add_percent: options.MaxAddPercent = None,
    max_remove_percent: options.MaxRemovePercent = None,
) -> ExitCode:
    """Set how much a sync may change without approval. An omitted limit returns to its default."""
    wanted: MappingEdit = {
        "max_added": max_add,
        "max_added_share": options.share_of(max_add_percent),
        "max_removed_share": options.share_of(max_remove_percent),
    }
    return run_command(lambda session: _edit(session, mapping_id, wanted))


def set_fields(
    mapping_id: options.MappingId, field: options.NewFields = None, no_fields: options.NoFields = False
) -> ExitCode:
    """Choose the data fields that a mapping sends. The next sync asks for approval; --yes approves there."""
    return run_command(lambda session: _set_fields(session, mapping_id, field, no_fields=no_fields))


def pause(mapping_id: options.MappingId) -> ExitCode:
    """Pause a mapping: nothing is sent for it until it is resumed."""
    return run_command(lambda session: _move(session, mapping_id, pauses=True))


def resume(mapping_id: options.MappingId) -> ExitCode:
    """Resume a paused mapping."""
    return run_command(lambda session: _move(session, mapping_id, pauses=False))


def archive(mapping_id: options.MappingId) -> ExitCode:
    """Archive a mapping: nothing is synced, and the list and the record of its people stay as they are."""
    return run_command(lambda session: _archive(session, mapping_id))


def restore(mapping_id: options.MappingId) -> ExitCode:
    """Restore an archived mapping. Its next sync needs approval."""
    return run_command(lambda session: _restore(session, mapping_id))


def delete(
    mapping_id: options.MappingId,
    members: Annotated[
        MembersChoice | None,
        typer.Option(
            help="leave: forget the mapping, and leave the list as it is. remove: take everyone off the list first."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve it in advance.")] = False,
) -> ExitCode:
    """Delete a mapping. Without --members, say what would happen to its list and to its record.

    Exit codes with --members remove are those of sync.
    """
    return run_command(lambda session: _delete(session, mapping_id, members, yes=yes))


def remove(mapping_id: options.MappingId, yes: options.Sure = False) -> ExitCode:
    """Remove a mapping with its runs and its ledger. The list in Iterable stays as it is (delete --members leave)."""
    return run_command(lambda session: _delete(session, mapping_id, MembersChoice.LEAVE, yes=yes))


async def _edit(
    session: Session,
    mapping_id: int,
    wanted: "MappingEdit",
    removals: RemovalsChoice | None = None,
    named: "Mapping[str, list[str] | None] | None" = None,
    *,
    yes: bool = False,
) -> ExitCode:
    from core.connections import mapping_settings
    from core.store.audit_log import COMMAND_LINE
    from core.store.mappings import RemovalPolicy

    if removals is not None:
        wanted["removal_policy"] = RemovalPolicy(removals.value)
    chosen = {what: names for what, names in (named or {}).items() if names is not None}
    if not (wanted or chosen):
        raise InputError("Say what to change, for example --name. `iterable-sync mappings edit --help` lists it all.")
    async with session.engine() as engine:
        if chosen:
            owner = await load_connection(engine, await load_mapping(engine, mapping_id))
            wanted |= cast("MappingEdit", await people.find(engine, owner.team_id, chosen))
        mapping = await mapping_settings.edit(engine, mapping_id, by=COMMAND_LINE, team_id=None, approved=yes, **wanted)
    sentences = [f"Its {what}: {', '.join(getattr(mapping, what)) or 'those of the connection'}." for what in chosen]
    if "name" in wanted:
        sentences.append(f'It is called "{mapping.label}".')
    if "channel" in wanted:
        sentences.append(f"Its syncs appear in {mapping.channel}." if mapping.channel else "It has no channel.")
    if wanted.keys() & {"max_added", "max_added_share"}:
        sentences.append(f"A sync waits for approval if it adds {limits_text(mapping)}.")
    if "max_removed_share" in wanted:
        sentences.append(f"A sync waits for approval if it removes {removal_limit_text(mapping)}.")
    if "mode" in wanted:
        sentences.append(f"Its mode is {mapping.mode}.")
    if removals is not None:
        sentences.append(f"Who leaves the audience: {mapping.removal_policy}.")
    session.terminal.line(f"Mapping {mapping_id}: {' '.join(sentences)}{approval_text(mapping)}")
    return ExitCode.OK


def approval_text(mapping: "AudienceMapping") -> str:
    """Return a sentence, after a blank, if a change of a mapping waits for approval."""
    if mapping.change_before is None:
        return ""
    return " It applies once an approver has approved it or a sync has, with --yes; until then every sync asks."


async def _set_fields(session: Session, mapping_id: int, field: list[str] | None, *, no_fields: bool) -> ExitCode:
    from core.connections import data_fields
    from core.models.data_fields import fields_text
    from core.store.audit_log import COMMAND_LINE

    fields = options.chosen_fields(field, no_fields=no_fields)
    if fields is None:
        raise InputError("Name the data fields with --field COLUMN=FIELD, or choose --no-fields.")
    async with session.engine() as engine:
        mapping = await data_fields.choose(engine, mapping_id, fields, by=COMMAND_LINE, team_id=None)
    sent = f"sends the data fields {fields_text(mapping.fields)}" if mapping.fields else "sends no data fields"
    session.terminal.line(f"Mapping {mapping_id} {sent}, once an approver has approved it or a sync has, with --yes.")
    return ExitCode.OK


async def _move(session: Session, mapping_id: int, *, pauses: bool) -> ExitCode:
    from core.connections import mapping_lifecycle
    from core.errors import ConflictError
    from core.store.audit_log import COMMAND_LINE

    use_case = mapping_lifecycle.pause if pauses else mapping_lifecycle.resume
    async with session.engine() as engine:
        mapping = await load_mapping(engine, mapping_id)
        if not await use_case(engine, mapping_id, by=COMMAND_LINE, team_id=None):
            wanted = "active" if pauses else "paused"
            raise ConflictError(f"Mapping {mapping_id} is {mapping.status}, not {wanted}.", mapping_id=mapping_id)
    session.terminal.line(f"Mapping {mapping_id} is {'paused: nothing is sent for it' if pauses else 'active again'}.")
    return ExitCode.OK


async def _archive(session: Session, mapping_id: int) -> ExitCode:
    from core.connections import mapping_end
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        await mapping_end.archive(engine, mapping_id, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f"Mapping {mapping_id} is archived: nothing is synced. The people on its list stay there.")
    session.terminal.say(f"To get it back: iterable-sync mappings restore {mapping_id}")
    return ExitCode.OK


async def _restore(session: Session, mapping_id: int) -> ExitCode:
    from core.connections import mapping_end
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        await mapping_end.restore(engine, mapping_id, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f"Mapping {mapping_id} is restored. Its next sync needs approval.")
    return ExitCode.OK


async def _delete(session: Session, mapping_id: int, members: MembersChoice | None, *, yes: bool) -> ExitCode:
    from bot.cli.confirm_removal import confirm_removal
    from core.connections import mapping_end
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        mapping = await load_mapping(engine, mapping_id)
        if members is None:
            _show_choices(session, await mapping_end.summarize(engine, mapping_id))
            return ExitCode.NEEDS_APPROVAL
        if members is MembersChoice.REMOVE:
            return await _empty(session, mapping_id, approved=yes)
        if not await confirm_removal(session, engine, f"mapping {mapping_id}", [mapping], yes=yes):
            return ExitCode.NEEDS_APPROVAL
        await mapping_end.forget(engine, mapping_id, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f"Mapping {mapping_id} was removed. List {mapping.list_id} in Iterable stays as it is.")
    return ExitCode.OK


def _show_choices(session: Session, summary: "DeletionSummary") -> None:
    """Print what would happen to the list and to the record of a mapping, and the command of each choice."""
    from bot.cli.render import list_text

    mapping, members = summary.mapping, f"{summary.members:,}"
    command = f"iterable-sync mappings delete {mapping.id}"
    schedules = f" Its schedules are deleted, too: {', '.join(summary.schedules)}." if summary.schedules else ""
    session.terminal.say(
        f"{members} people are on list {list_text(mapping.list_id)} because of mapping {mapping.id}.{schedules}\n"
        f"  Forget it, they stay on the list and no later sync removes them:  {command} --members leave\n"
        f"  Take them off the list first, after approval:                     {command} --members remove\n"
        f"  Keep the record, and sync nothing:                                "
        f"iterable-sync mappings archive {mapping.id}"
    )


async def _empty(session: Session, mapping_id: int, *, approved: bool) -> ExitCode:
    """Take everyone off the list of a mapping, which then is archived, and deleted in 30 days."""
    from bot.cli.render import when
    from bot.cli.run_session import run_to_completion
    from core.runs import worker
    from core.runs.mapping_deletion import request_emptying
    from core.store import mappings
    from core.store.audit_log import COMMAND_LINE

    async with session.engine(executes=True) as engine:
        run_id = await request_emptying(
            engine,
            mapping_id,
            by=COMMAND_LINE,
            channel=None,
            team_id=None,
            approved=approved,
            worker_id=engine.presence.id,
        )
        session.terminal.say(f"Run {run_id} takes everyone off the list.")
        code = await run_to_completion(session, engine, run_id, worker.start(engine, run_id))
        async with engine.database.read() as db:
            mapping = await mappings.by_id(db, mapping_id)
    if mapping is not None and mapping.delete_at is not None:
        session.terminal.say(
            f"Mapping {mapping_id} is archived, and deleted {when(mapping.delete_at)}. Until then: iterable-sync "
            f"mappings restore {mapping_id} && iterable-sync runs undo {run_id}"
        )
    elif code is ExitCode.OK:
        session.terminal.say(
            f"Someone is still on the list because of mapping {mapping_id}, so it was not archived. Run the command "
            "again.",
            "yellow",
        )
    return code
