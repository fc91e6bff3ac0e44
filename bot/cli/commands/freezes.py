"""`iterable-sync mappings freeze` and `unfreeze`: changes that wait."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import options
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import InputError

if TYPE_CHECKING:
    from core.store.campaigns import ListCampaign
    from core.store.freezes import Freeze, Scope

ALL = "all"
MappingOrAll = Annotated[str, typer.Argument(metavar="MAPPING|all", help="The id of a mapping, or all of them.")]


class FrozenChoice(StrEnum):
    """Which changes a freeze holds back."""

    REMOVALS = "removals"
    ADDITIONS = "additions"


def freeze(
    mapping: MappingOrAll,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="2h, 17:00, monday, 2026-12-31 9:00.")] = None,
    only: Annotated[
        FrozenChoice | None, typer.Option(help="Hold back only these changes.", show_default="all changes")
    ] = None,
    before_campaigns: Annotated[
        int | None,
        typer.Option(min=0, metavar="MINUTES", help="Freeze from so many minutes before each campaign to the list."),
    ] = None,
) -> ExitCode:
    """Hold changes back until a time, or before each campaign until it has been sent. Runs wait, then continue."""
    return run_command(lambda session: _freeze(session, mapping, until, only, before_campaigns))


def unfreeze(
    mapping: MappingOrAll,
    before_campaigns: Annotated[
        bool, typer.Option("--before-campaigns", help="Campaigns no longer freeze the mapping.")
    ] = False,
) -> ExitCode:
    """End a freeze. What waits is sent by a worker."""
    return run_command(lambda session: _unfreeze(session, mapping, before_campaigns=before_campaigns))


async def _freeze(
    session: Session, mapping: str, until: str | None, only: FrozenChoice | None, before_campaigns: int | None
) -> ExitCode:
    from datetime import datetime

    from bot.cli.render import when
    from core.connections import freeze_commands
    from core.connections.until import parse_until
    from core.store.audit_log import COMMAND_LINE
    from core.store.mappings import FreezeHolds

    scope, what = _scope(mapping)
    if until is None and before_campaigns is None:
        raise InputError("Say until when with --until, or how long before campaigns with --before-campaigns.")
    if before_campaigns is not None and scope.mapping_id is None:
        raise InputError("--before-campaigns needs the id of a mapping.")
    holds = FreezeHolds.BOTH if only is None else FreezeHolds(only.value)
    held = "all changes" if only is None else f"all {only.value}"
    async with session.engine() as engine:
        if until is not None:
            at = parse_until(until, datetime.fromtimestamp(await engine.time()).astimezone())
            await freeze_commands.freeze(engine, scope, until=at, holds=holds, by=COMMAND_LINE, team_id=None)
            session.terminal.line(f"{what}: {held} wait until {when(at)}.")
        if before_campaigns is not None and scope.mapping_id is not None:
            await freeze_commands.set_campaign_freeze(
                engine, scope.mapping_id, before_campaigns, holds=holds, by=COMMAND_LINE, team_id=None
            )
            session.terminal.line(
                f"{what}: {held} wait from {before_campaigns} minutes before each campaign until it has been sent."
            )
    return ExitCode.OK


async def _unfreeze(session: Session, mapping: str, *, before_campaigns: bool) -> ExitCode:
    from core.connections import freeze_commands
    from core.store.audit_log import COMMAND_LINE

    scope, what = _scope(mapping)
    async with session.engine() as engine:
        if before_campaigns:
            if scope.mapping_id is None:
                raise InputError("--before-campaigns needs the id of a mapping.")
            await freeze_commands.set_campaign_freeze(engine, scope.mapping_id, None, by=COMMAND_LINE, team_id=None)
            session.terminal.line(f"{what}: campaigns don't freeze it.")
            return ExitCode.OK
        other = await freeze_commands.unfreeze(engine, scope, by=COMMAND_LINE, team_id=None)
        still = "" if other is None else f" {freeze_text(other)}"
        session.terminal.line(f"{what}: this freeze has ended.{still}")
    return ExitCode.OK


def _scope(mapping: str) -> "tuple[Scope, str]":
    """Return the scope that an argument names, and its name in a sentence."""
    from core.store.freezes import EVERYTHING, Scope

    if mapping.casefold() == ALL:
        return EVERYTHING, "All mappings"
    if not (mapping.isascii() and mapping.isdecimal()) or not 0 < int(mapping) <= options.MOST:
        raise InputError(f'"{mapping[:40]}" is no mapping. Give the id of one, or "all".')
    return Scope(int(mapping)), f"Mapping {mapping}"


def freeze_text(freeze: "Freeze | None") -> str:
    """Return what a freeze holds back, and until when."""
    from bot.cli.render import when

    if freeze is None:
        return "no"
    kinds = {"both": "All changes wait", "removals": "Removals wait", "additions": "Additions wait"}
    if freeze.until is not None:
        return f"{kinds[freeze.holds.value]} until {when(freeze.until)}."
    latest = "" if freeze.latest is None else f", at most until {when(freeze.latest)}"
    return f'{kinds[freeze.holds.value]} until the campaign "{freeze.campaign}" has been sent{latest}.'


def campaign_texts(due: "list[ListCampaign]") -> str:
    """Return the campaigns of a list that are due, a line each."""
    from bot.cli.render import when

    texts = []
    for each in due:
        does = "leaves out the people on this list" if each.is_suppression else "goes to this list"
        at = "now" if each.is_running else when(each.start_at)
        texts.append(f'"{each.name}" {does}, {at}')
    return "\n".join(texts) or "none"
