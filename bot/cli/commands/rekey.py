"""`iterable-sync rekey`: replace the secret key."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from bot.ui.formatting import plural

if TYPE_CHECKING:
    from core.privacy.lost_key import LostSecrets

#: By table: what a value is (its plural ends with an s), and what to do about it after the secret key is lost.
OF_TABLES = {
    "connections": ("API key", "iterable-sync connections key NAME"),
    "mparticle_accounts": ("mParticle secret", "iterable-sync audiences connect NAME"),
    "sources": ("source", "iterable-sync mappings set-source MAPPING ADDRESS"),
    "routes": ("route", "iterable-sync routes remove NAME, and routes add NAME"),
    "run_log": ("run log", "iterable-sync run-log set PLACE"),
    "change_fields": ("data-field group", "iterable-sync runs cancel RUN, for runs that fail, and sync again"),
    "slack_installations": ("Slack token", "install the app again, at /slack/install"),
    "slack_bots": ("bot token", "install the app again, at /slack/install"),
    "inbox": ("live change", "nothing; it is sent without data fields"),
    "erasures": ("erasure request", "request it again in mParticle"),
    "salts": ("digest salt", "nothing; a new one is made"),
}


def rekey(
    lost: Annotated[bool, typer.Option("--lost", help="The key is lost: give up what only it could decrypt.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --lost: do it.")] = False,
) -> ExitCode:
    """Encrypt all stored API keys, tokens and other secrets with a new secret key, so that the former one can go."""
    return run_command((lambda session: _without_key(session, yes=yes)) if lost else _rekey)


async def _rekey(session: Session) -> ExitCode:
    from bot.slack.installation_store import encrypted_columns
    from core.privacy import key_rotation
    from core.vault import KEY_FILE, SETTING

    async with session.engine() as engine:
        count = await key_rotation.rotate_key(engine, encrypted_columns())
    values = "1 secret is" if count == 1 else f"{count:,} secrets are"
    session.terminal.line(f"{values} encrypted with the new key.")
    if session.settings.secret_key is not None:
        place = session.settings.variable_of(SETTING)
        session.terminal.line(f"Remove the former key from {place}, and restart all processes.")
    else:
        session.terminal.line(f"It is in {session.settings.data_dir / KEY_FILE}; the former key is deleted.")
    return ExitCode.OK


async def _without_key(session: Session, *, yes: bool) -> ExitCode:
    from bot.slack.installation_store import encrypted_columns
    from core.privacy import lost_key
    from core.vault import KEY_FILE

    file = session.settings.data_dir / KEY_FILE
    is_missing = session.settings.secret_key is None and not file.exists()
    async with session.engine(replaces_lost_key=True) as engine:
        lost = await lost_key.find_lost(engine, encrypted_columns())
        if not lost.by_table:
            session.terminal.line("All stored secrets can be decrypted. Nothing was changed.")
            return ExitCode.OK
        if not yes:
            if is_missing:  # as before: someone may still find it
                file.unlink()
            for line in _lost_lines(lost):
                session.terminal.line(line)
            session.terminal.say("If you have a copy of the key, put it back. To do without it, pass --yes.", "yellow")
            return ExitCode.NEEDS_APPROVAL
        lost = await lost_key.give_up_lost(engine, encrypted_columns())
    for line in _lost_lines(lost):
        session.terminal.line(line)
    session.terminal.line("Done. Enter again what is listed above.")
    return ExitCode.OK


def _lost_lines(lost: "LostSecrets") -> Sequence[str]:
    """Return what is lost, a line each, with what to do about it."""
    from core.store import salts

    lines = ["The secret key can't decrypt:"]
    for table, count in sorted(lost.by_table.items()):
        what, remedy = OF_TABLES[table]
        lines.append(f"  {plural(count, what)}: {remedy}")
    if lost.excluding:
        lines.append(
            f"Excluded addresses are lost, so these need approval: {', '.join(lost.excluding)}. "
            "Exclude the addresses again before."
        )
    if salts.ERASURE in lost.salts:
        lines.append("The marks of erased people are lost: don't sync files from before their erasure.")
    if salts.CONFIGURATION in lost.salts:
        lines.append("What was applied from a configuration file counts as changed by hand: apply it with --overwrite.")
    return lines
