"""The use cases of the run log: turning it on, and off. Each is audited."""

import json
import tempfile
from pathlib import Path

from core.engine import Engine
from core.errors import ValidationError
from core.run_log import schema
from core.run_log.place import Place, check_address
from core.sources.fetch import without_secrets
from core.store import audit_log, run_log
from core.store.audit_log import AuditAction
from core.store.run_log import Identifiers, RunLog
from core.vault import Vault

#: The minimum length of a salt: addresses can be guessed, so a hash protects them as well as the salt is secret.
SALT_LENGTH = 16
#: The file in the place that describes its tables.
SCHEMA_FILE = "schema.json"


async def turn_on(
    engine: Engine, address: str, identifiers: Identifiers, salt: str | None, *, by: str, team_id: str | None
) -> RunLog:
    """Write the runs that end from now on to a place. Returns the run log.

    Raises ValidationError if the address or the salt can't be used, and the errors of `Place` if the place can't be
    written.
    """
    address = check_address(address)
    if identifiers is Identifiers.HASHED and len(salt or "") < SALT_LENGTH:
        raise ValidationError(
            f"Hashed identifiers need a salt of at least {SALT_LENGTH} characters. Make one with: openssl rand -hex 24"
        )
    if identifiers is not Identifiers.HASHED and salt is not None:
        raise ValidationError("A salt is for hashed identifiers only.")
    await write_schema(Place(address))
    stored = without_secrets(address)
    async with engine.database.write() as db:
        before = await run_log.get(db)
        await run_log.put(
            db,
            address=stored,
            sealed=engine.vault.encrypt(json.dumps([address, salt])),
            identifiers=identifiers,
            set_by=by,
        )
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.RUN_LOG_CHANGED,
            subject="run_log:",
            before=_shown(before),
            after={"place": stored, "identifiers": identifiers.value},
        )
        after = await run_log.get(db)
    assert after is not None
    return after


async def turn_off(engine: Engine, *, by: str, team_id: str | None) -> bool:
    """Write no more runs. What was written stays. Returns False if the run log was off."""
    async with engine.database.write() as db:
        before = await run_log.get(db)
        if before is None:
            return False
        await run_log.remove(db)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.RUN_LOG_CHANGED,
            subject="run_log:",
            before=_shown(before),
            after={"place": None},
        )
    return True


def unseal(vault: Vault, log: RunLog) -> tuple[Place, str | None]:
    """Return the place and the salt of a run log. Raises SettingsError if they were encrypted with another key."""
    address, salt = json.loads(vault.decrypt(log.sealed))
    return Place(address), salt


async def write_schema(place: Place) -> None:
    """Write the description of the tables to a place, which shows that it can be written."""
    tables = {
        name: [{"name": column.name, "type": str(column.type), "nullable": column.nullable} for column in table]
        for name, table in schema.TABLES.items()
    }
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / SCHEMA_FILE
        path.write_text(json.dumps({"version": schema.VERSION, "tables": tables}, indent=1), encoding="utf-8")
        await place.put(path, SCHEMA_FILE)


def _shown(log: RunLog | None) -> dict[str, str | None]:
    return {"place": None} if log is None else {"place": log.address, "identifiers": log.identifiers.value}
