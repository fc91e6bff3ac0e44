"""`iterable-sync verify`: compares a list in Iterable with what was synced to it."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import options
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, print_json, run_command

if TYPE_CHECKING:
    from core.engine import Engine
    from core.runs.verification import Verification
    from core.store.mappings import AudienceMapping


class RepairChoice(StrEnum):
    """What a repair does."""

    MISSING = "missing"
    BOTH = "both"


@dataclass(slots=True)
class VerifyReport:
    """The JSON object of `verify`. Times are in UTC seconds; numbers are null if they were not read.

    `drift` is whether the list differs beyond the limit. `early`: a sync ended so shortly before that Iterable may not
    show it yet. `audience_differs` is whether mParticle's size does; null if it is not known.
    """

    mapping_id: int
    list_id: int | None = None
    audience: str | None = None
    drift: bool | None = None
    early: bool = False
    ours: int | None = None
    in_iterable: int | None = None
    in_mparticle: int | None = None
    audience_differs: bool | None = None
    missing: int | None = None
    extra: int | None = None
    others: int | None = None
    sampled: int = 0
    last_matched_at: float | None = None
    error: str | None = None

    def take(self, result: "Verification") -> None:
        """Take the result of a check."""
        check = result.check
        self.list_id, self.audience = check.list_id, result.mapping.audience_name or result.mapping.audience_id
        self.drift, self.early = result.is_drift, result.is_early
        self.ours, self.in_iterable, self.in_mparticle = check.ours, check.in_iterable, check.in_mparticle
        self.audience_differs = None if result.audience is None else result.audience.differs
        self.missing, self.extra, self.others = check.missing, check.extra, check.others
        self.sampled, self.last_matched_at = check.sampled, result.last_matched_at

    def fail(self, sentence: str, *, is_interrupted: bool) -> None:
        """Record that the list could not be verified, and why."""
        self.error = sentence

    def to_json(self) -> str:
        """Return the JSON object, on one line."""
        return json.dumps(asdict(self))


def verify(
    mapping_id: options.MappingId,
    as_json: options.Json = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write who differs, with addresses, to this file (mode 0600)."),
    ] = None,
    repair: Annotated[
        RepairChoice | None,
        typer.Option(help="missing: add people again who are missing. both: remove those who are extra as well."),
    ] = None,
    yes: options.YesInAdvance = False,
) -> ExitCode:
    """Compare a mapping's list in Iterable with what was synced to it: who is missing, who is extra.

    Exit codes: 0 it matches, 1 it differs; with --repair those of sync.
    """
    report = VerifyReport(mapping_id)
    return run_command(
        lambda session: _verify(session, report, csv, repair, yes=yes), report=report if as_json else None
    )


async def _verify(
    session: Session, report: VerifyReport, csv: Path | None, repair: RepairChoice | None, *, yes: bool
) -> ExitCode:
    from core.runs.verification import Depth
    from core.runs.verification import verify as verify_list

    async with session.engine(executes=repair is not None) as engine:
        if csv is None:
            result = await verify_list(engine, report.mapping_id, Depth.LIST)
        else:
            result = await _with_csv(engine, report.mapping_id, csv)
        report.take(result)
        if session.terminal.as_json:
            print_json(report)
        else:
            _show(session, result)
        if repair is not None:
            return await _repair(session, engine, result.mapping, repair, yes=yes)
    return ExitCode.FAILED if result.is_drift and not result.is_early else ExitCode.OK


async def _with_csv(engine: "Engine", mapping_id: int, path: Path) -> "Verification":
    import csv

    from bot.cli.rejected_csv import open_private
    from core.errors import InputError
    from core.reporting.differences_csv import CSV_HEADER, csv_rows
    from core.runs.verification import Depth, record_differences_taken, verify
    from core.store.audit_log import COMMAND_LINE

    try:
        with open_private(path) as file:
            rows = csv.writer(file, quoting=csv.QUOTE_ALL)
            rows.writerow(CSV_HEADER)
            result = await verify(engine, mapping_id, Depth.LIST, lambda chunk: rows.writerows(csv_rows(chunk)))
    except OSError as error:
        raise InputError(
            f"can't be written ({error.strerror}). Choose another file with --csv.", path=str(path)
        ) from error
    people = (result.check.missing or 0) + (result.check.extra or 0)
    await record_differences_taken(engine, mapping_id, people, by=COMMAND_LINE, team_id=None)
    return result


def _show(session: Session, result: "Verification") -> None:
    from bot.cli.render import facts, when

    check = result.check

    def count(value: int | None) -> str:
        return "not read" if value is None else f"{value:,}"

    missing = count(check.missing) + (f" of {check.sampled:,} that were looked up" if check.sampled else "")
    extra = count(check.extra) + (f" ({check.others:,} known)" if check.others else "")
    pairs = [
        ("List", str(check.list_id)),
        ("Synced", count(check.ours)),
        ("In Iterable", count(check.in_iterable)),
        *([("In mParticle", count(check.in_mparticle))] if check.in_mparticle is not None else []),
        ("Missing", missing),
        ("Extra", extra),
        ("Matched last", when(result.last_matched_at) or "never checked before"),
    ]
    session.terminal.show(facts(pairs))
    if result.is_drift and result.is_early:
        session.terminal.say(
            "A sync ended less than a minute ago, and Iterable may not show it yet. Verify again in a minute.", "yellow"
        )
        return
    if result.audience is not None and result.audience.differs:
        session.terminal.say(result.audience.message, "yellow")
    if result.list_differs:
        command = f"iterable-sync verify {result.mapping.id}"
        session.terminal.say(
            f"The list differs.\n{_own_changes(result)}\n"
            f"  Who differs:                {command} --csv differences.csv\n"
            f"  To add who is missing:      {command} --repair missing\n"
            f"  And to remove who is extra: {command} --repair both",
            "yellow",
        )
    else:
        session.terminal.say("The list matches what was synced to it.", "green")


def _own_changes(result: "Verification") -> str:
    """Return what this program has done to the list since it matched last."""
    from bot.cli.render import when
    from core.runs.drift import NONE_OF_OURS, REST

    if result.last_matched_at is None or not result.own.runs:
        return REST if result.last_matched_at is None else NONE_OF_OURS
    lines = [
        f"  {run.id}, {when(run.finished_at) or 'not finished'}, by {run.started_by or 'the terminal'}"
        f"{f', undo of {run.undo_of}' if run.undo_of else ''}: {run.counters.added:,} added, "
        f"{run.counters.updated:,} updated, {run.counters.removed:,} removed"
        for run in result.own.runs
    ]
    if result.own.more:
        lines.append(f"  and {result.own.more:,} more")
    return "\n".join(["Syncs from here that have changed it since it matched last:", *lines, REST])


async def _repair(
    session: Session, engine: "Engine", mapping: "AudienceMapping", repair: RepairChoice, *, yes: bool
) -> ExitCode:
    from bot.cli.run_session import run_to_completion
    from core.models.run import Repair, RunRequest, SyncMode
    from core.runs import worker
    from core.runs.submission import submit
    from core.store import connections

    async with engine.database.read() as db:
        connection = await connections.by_id(db, mapping.connection_id)
    assert connection is not None
    audience = mapping.audience_id or mapping.audience_name
    request = RunRequest(path="", mode=SyncMode.DELTA, audience=audience, approved=yes, repairs=Repair(repair.value))
    submission = await submit(engine, connection, mapping.list_id, request)
    return await run_to_completion(session, engine, submission.run_id, worker.start(engine, submission.run_id))
