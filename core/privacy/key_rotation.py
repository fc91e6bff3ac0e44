"""Replaces the secret key: all stored secrets are encrypted again, so that the former key is needed no longer."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column

from core.engine import Engine
from core.errors import ConflictError, SettingsError
from core.store import audit_log, reencryption, workers
from core.store.audit_log import COMMAND_LINE, AuditAction
from core.vault import Vault, add_key, drop_old_keys


async def rotate_key(engine: Engine, more: Sequence[Column[Any]] = ()) -> int:
    """Encrypt all stored secrets with the newest key. Returns their number. Can be repeated after an interruption.

    If the setting ITERABLE_SYNC_SECRET_KEY has the keys, all processes have to know the newest one by now. If the key
    is in the data directory, this makes a new one and deletes the former one. `more` is as for `reencrypt`.

    Raises SettingsError if the setting has only one key or a value can't be decrypted, and ConflictError if the key is
    in the data directory and other processes run, because they would still encrypt with the former key.
    """
    settings = engine.settings
    if settings.secret_key is not None:
        keys = settings.secret_key.get_secret_value().split(",")
        if len(keys) == 1:
            raise SettingsError(
                "ITERABLE_SYNC_SECRET_KEY has one key. Put a new key before it, separated by a comma, restart all "
                "processes, and repeat the command."
            )
        count = await reencryption.reencrypt(engine.database, Vault(keys), more)
    else:
        await refuse_other_processes(engine)
        count = await reencryption.reencrypt(engine.database, add_key(settings.data_dir), more)
        drop_old_keys(settings.data_dir)
    async with engine.database.write() as db:
        await audit_log.add(
            db,
            team_id=None,
            actor=COMMAND_LINE,
            action=AuditAction.SECRET_KEY_REPLACED,
            subject="secret_key",
            after={"secrets": count},
        )
    return count


async def refuse_other_processes(engine: Engine) -> None:
    """Raise ConflictError if another process uses the database."""
    await engine.presence.reap_dead_workers()
    for worker in await _others(engine):  # of a restored backup, for example
        await engine.presence.wait_for_verdict(worker.id)
    await engine.presence.reap_dead_workers()
    if others := await _others(engine):
        count = f"{len(others)} other processes run" if len(others) > 1 else "another process runs"
        raise ConflictError(
            f"{count.capitalize()} on this database and would still use the former key. Stop the program, and repeat "
            "the command. If a process was killed on another machine a moment ago, wait for a minute and a half."
        )


async def _others(engine: Engine) -> list[workers.Worker]:
    async with engine.database.read() as db:
        return [worker for worker in await workers.everyone(db) if worker.id != engine.presence.id]
