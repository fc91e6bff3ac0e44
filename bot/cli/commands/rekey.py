"""`iterable-sync rekey`: replace the secret key."""

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command


def rekey() -> ExitCode:
    """Encrypt all stored API keys, tokens and other secrets with a new secret key, so that the former one can go."""
    return run_command(_rekey)


async def _rekey(session: Session) -> ExitCode:
    from bot.slack.installation_store import encrypted_columns
    from core.privacy import key_rotation
    from core.vault import KEY_FILE

    async with session.engine() as engine:
        count = await key_rotation.rotate_key(engine, encrypted_columns())
    values = "1 secret is" if count == 1 else f"{count:,} secrets are"
    session.terminal.line(f"{values} encrypted with the new key.")
    if session.settings.secret_key is not None:
        session.terminal.line("Remove the former key from ITERABLE_SYNC_SECRET_KEY, and restart all processes.")
    else:
        session.terminal.line(f"It is in {session.settings.data_dir / KEY_FILE}; the former key is deleted.")
    return ExitCode.OK
