"""`iterable-sync why`: explains whether a person is on a list."""

from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command

if TYPE_CHECKING:
    from core.reporting.member_lookup import MemberFinding


def why(
    who: Annotated[str, typer.Argument(metavar="WHO", help="An email, a customer id or an mpid.")],
) -> ExitCode:
    """Explain why a person is on a list or not. Asks Iterable, the ledger and the rejections that are kept.

    No address is printed.
    """
    return run_command(lambda session: _why(session, who))


async def _why(session: Session, who: str) -> ExitCode:
    from bot.ui.membership import what_iterable_says
    from core.reporting.member_lookup import look_up_member
    from core.store import connections
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        async with engine.database.read() as db:
            everyone = await connections.everyone(db)
        report = await look_up_member(engine, everyone, who, by=COMMAND_LINE, team_id=None)
    for finding in report.findings:
        session.terminal.line("\n".join(_lines(finding)) + "\n")
    if not report.findings:
        session.terminal.line("Nothing is known here about this person.")
    if remarks := what_iterable_says(report.answers):
        session.terminal.line(remarks)
    return ExitCode.OK


def _lines(finding: "MemberFinding") -> list[str]:
    from bot.cli.render import when
    from bot.ui.membership import state_of
    from core.reporting.rejection_reasons import explain

    email, user_id = finding.identity or (None, None)
    identity = ", ".join([*(["their email"] if email else []), *([f"user id {user_id}"] if user_id else [])])
    mapping = finding.mapping
    lines = [f'{mapping.label} to "{finding.list_name}" (list {mapping.list_id})', f"  {state_of(finding, identity)}"]
    if finding.change is not None:
        what = "put on the list" if finding.change.is_added else "taken off the list"
        lines.append(f"  Last {what} by run {finding.change.run_id}, {when(finding.change.at)}.")
    if finding.reason is not None:
        explanation = explain(finding.reason)
        lines.append(f"  Last rejected (run {finding.run}, {when(finding.when)}): {explanation.meaning}")
        lines.append(f"  What to do: {explanation.remedy}")
    return lines
