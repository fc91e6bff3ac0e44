"""Random values of this installation, by which digests of personal data are keyed. They are stored encrypted."""

import secrets

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.tables import salts
from core.vault import Vault

#: The salts of the digests of erased and suppressed people, of data fields, of excluded addresses, and of what a
#: configuration file has set.
ERASURE, DATA_FIELDS, EXCLUSIONS, CONFIGURATION = "erasure", "fields", "exclusions", "configuration"


async def get_or_create(db: AsyncConnection, vault: Vault, name: str) -> str:
    """Return a salt, created at first use (in a transaction that may write)."""
    salt = await find(db, vault, name)
    if salt is not None:
        return salt
    try:
        async with db.begin_nested():
            await db.execute(insert(salts).values(name=name, value=vault.encrypt(secrets.token_hex(32))))
    except IntegrityError:  # another process has created it
        pass
    salt = await find(db, vault, name)
    assert salt is not None
    return salt


async def find(db: AsyncConnection, vault: Vault, name: str) -> str | None:
    """Return a salt, or None if it was not used yet."""
    value = (await db.execute(select(salts.c.value).where(salts.c.name == name))).scalar_one_or_none()
    return None if value is None else vault.decrypt(value)
