"""`iterable-sync mappings variants`: the variants of an A/B test in one download, each to its own list."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.commands.sync import connection_for
from bot.cli.exit_codes import ExitCode
from bot.cli.options import ConnectionName, DataCenter, DataCenterChoice, YesInAdvance
from bot.cli.session import Session, run_command
from core.errors import InputError

if TYPE_CHECKING:
    from core.sources.variants import Variant

Targets = Annotated[
    list[str] | None,
    typer.Option("--to", metavar="VARIANT=LIST", help="The list of a variant. A variant without one is left out."),
]


def variants(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The download of an A/B test.")],
    to: Targets = None,
    connection: ConnectionName = None,
    data_center: DataCenter = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes, and send nothing.")] = False,
    yes: YesInAdvance = False,
) -> ExitCode:
    """Map the variants of an A/B test to a list each, and sync each of them.

    Without --to, print the variants. Exit codes are those of sync: the first that is not 0.
    """
    path = Path(file).absolute()
    return run_command(
        lambda session: _variants(session, path, to or [], connection, data_center, dry_run=dry_run, yes=yes)
    )


async def _variants(
    session: Session,
    path: Path,
    to: Sequence[str],
    connection_name: str | None,
    data_center: DataCenterChoice | None,
    *,
    dry_run: bool,
    yes: bool,
) -> ExitCode:
    from bot.cli.run_session import run_to_completion
    from core.models.run import RunRequest
    from core.runs import worker
    from core.runs.submission import submit
    from core.sources.variants import read_variants

    try:
        known = read_variants(path, path.name)
    except FileNotFoundError:
        raise InputError("There is no such file. Check the path.", path=path.name) from None
    if not known:
        raise InputError("is not the download of an A/B test: it has no variants.", path=path.name)
    if not to:
        _show(session, known)
        return ExitCode.OK
    lists = _chosen(known, to)
    async with session.engine(executes=True) as engine:
        connection = await connection_for(engine, connection_name, data_center=data_center)
        codes = []
        for variant, list_id in lists.items():
            request = RunRequest(path=str(path), audience=variant, dry_run=dry_run, approved=yes)
            submission = await submit(engine, connection, list_id, request)
            name = submission.target.name
            session.terminal.say(f'Run {submission.run_id} syncs {variant} to list {list_id} "{name}"')
            started = worker.start(engine, submission.run_id)
            codes.append(await run_to_completion(session, engine, submission.run_id, started))
            if engine.stopping.is_set():
                break
    return next((code for code in codes if code is not ExitCode.OK), ExitCode.OK)


def _show(session: Session, known: "Sequence[Variant]") -> None:
    from bot.cli.render import table

    rows = [
        (each.label, each.name, "" if each.people is None else f"{each.people:,}", "nowhere" if each.is_control else "")
        for each in known
    ]
    session.terminal.show(table(("Variant", "Audience", "People", "Goes"), rows, numbers=("People",)))
    session.terminal.say("Give each variant a list: --to VARIANT=LIST. The control goes nowhere.", "dim")


def _chosen(known: "Sequence[Variant]", to: Sequence[str]) -> dict[str, int]:
    """Return the list ids by the variants' whole names. Raises InputError if a choice can't be used."""
    names = {name.casefold(): each for each in known for name in (each.label, each.name)}
    chosen: dict[str, int] = {}
    for text in to:
        name, _, list_id = text.rpartition("=")
        variant = names.get(name.strip().casefold())
        if variant is None or not list_id.strip().isdecimal():
            there = ", ".join(each.label for each in known)
            raise InputError(
                f"--to {text}: write it as VARIANT=LIST, with the id of a list. The variants are: {there}."
            )
        if variant.is_control:
            raise InputError(f"{variant.label} is the control of the test: it is compared with, and goes to no list.")
        if variant.name in chosen:
            raise InputError(f"{variant.label} has two lists. Choose one.")
        if int(list_id) in chosen.values():
            raise InputError(f"Two variants go to list {int(list_id)}, which would mix up the test. Choose another.")
        chosen[variant.name] = int(list_id)
    return chosen
