"""mParticle's audiences by name: a connection's access to mParticle's platform API, and what it reads there."""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from core.engine import Engine
from core.errors import ConflictError, InputError, NotFoundError, SyncError, ValidationError
from core.mparticle.client import PlatformClient
from core.mparticle.errors import AccountAccessError, MParticleCredentialsError
from core.mparticle.models import Credentials, KnownAudiences, ListedAudience, Pod
from core.store import audit_log, connections, mparticle_accounts
from core.store.audit_log import AuditAction
from core.store.connections import Connection
from core.store.database import to_the_end
from core.store.mappings import AudienceMapping
from core.store.mparticle_accounts import MParticleAccount

#: How long the audiences of an account count as current, in seconds.
FRESH_S = 60.0
# A plan waits so many seconds for mParticle.
WITHIN_S = 10.0
_CREDENTIAL_MAX = 500

logger = logging.getLogger(__name__)


class AmbiguousAudienceError(InputError):
    """mParticle has several audiences of this name."""

    code = "ambiguous_audience"


@dataclass(frozen=True, slots=True)
class MParticleConnected:
    """The saved access of a connection, and the audiences of the account."""

    account: MParticleAccount
    audiences: tuple[ListedAudience, ...]


async def connect_mparticle(
    engine: Engine,
    connection: Connection,
    *,
    client_id: str,
    client_secret: str,
    account_id: str,
    pod: Pod,
    by: str,
    team_id: str | None,
) -> MParticleConnected:
    """Try a client id with its secret, and save them for a connection, in place of earlier ones.

    Raises ValidationError if a value can't be one of mParticle's, NotFoundError if the connection was removed, and an
    MParticleError if mParticle refuses it or can't be asked.
    """
    credentials = Credentials(
        check_credential(client_id, "client ID"),
        check_credential(client_secret, "client secret"),
        check_account_id(account_id),
        pod,
    )
    audiences = await _fetch(engine, credentials)
    secret = engine.vault.encrypt(credentials.client_secret)
    async with engine.database.write() as db:
        if await connections.by_id(db, connection.id) is None:
            raise NotFoundError("This connection was removed meanwhile.", connection_id=connection.id)
        before = await mparticle_accounts.of_connection(db, connection.id)
        await mparticle_accounts.replace(
            db,
            connection.id,
            pod=pod,
            account_id=credentials.account_id,
            client_id=credentials.client_id,
            client_secret=secret,
        )
        account = await mparticle_accounts.of_connection(db, connection.id)
        assert account is not None
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.MPARTICLE_CONNECTED,
            subject=f"connection:{connection.id}",
            before=_audited(before),
            after=_audited(account),
        )
    engine.mparticle_audiences[connection.id] = KnownAudiences(audiences, time.monotonic(), secret)
    return MParticleConnected(account, audiences)


async def disconnect_mparticle(engine: Engine, connection: Connection, *, by: str, team_id: str | None) -> None:
    """Delete a connection's access to mParticle's platform API. Raises ConflictError if it has none."""
    async with engine.database.write() as db:
        before = await mparticle_accounts.of_connection(db, connection.id)
        if before is None:
            raise ConflictError(f"{connection.label} has no access to mParticle's audiences.")
        await mparticle_accounts.remove(db, connection.id)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.MPARTICLE_DISCONNECTED,
            subject=f"connection:{connection.id}",
            before=_audited(before),
        )
    engine.mparticle_audiences.pop(connection.id, None)


async def fetch_audiences(engine: Engine, connection_id: int, *, max_age_s: float = FRESH_S) -> KnownAudiences | None:
    """Return the audiences of a connection's mParticle account, at most `max_age_s` old (seconds).

    None if the connection has no access. Raises an MParticleError if mParticle can't be asked, and SettingsError if the
    secret can't be decrypted.
    """
    async with engine.database.read() as db:
        account = await mparticle_accounts.of_connection(db, connection_id)
    if account is None:
        return None
    known = engine.mparticle_audiences.get(connection_id)
    is_same = known is not None and known.credentials == account.client_secret
    if known is not None and is_same and time.monotonic() - known.at <= max_age_s:
        return known
    secret = engine.vault.decrypt(account.client_secret)
    credentials = Credentials(account.client_id, secret, account.account_id, account.pod)
    try:
        audiences = await _fetch(engine, credentials)
    except (MParticleCredentialsError, AccountAccessError):
        await to_the_end(_note(engine, account, is_refused=True))
        raise
    if account.refused_at is not None:
        await to_the_end(_note(engine, account, is_refused=False))
    fetched = KnownAudiences(audiences, time.monotonic(), account.client_secret)
    engine.mparticle_audiences[connection_id] = fetched
    return fetched


async def audience_size(
    engine: Engine, connection_id: int, audience_id: str, audience_name: str | None = None
) -> int | None:
    """Return how many people mParticle counts in an audience.

    None if the connection has no access to mParticle's platform API, if mParticle no longer has the audience, if it has
    not computed the size, or if the name is that of a variant of an A/B test. Raises as `fetch_audiences` does.
    """
    known = await fetch_audiences(engine, connection_id)
    audience = None if known is None else known.of(audience_id, audience_name)
    return None if audience is None else audience.size


async def is_missing(engine: Engine, mapping: AudienceMapping | None) -> bool:
    """Return whether the account has no active audience of a mapping's id. False if mParticle can't be asked."""
    if mapping is None or mapping.audience_id is None:
        return False
    try:
        async with asyncio.timeout(WITHIN_S):
            known = await fetch_audiences(engine, mapping.connection_id)
    except (SyncError, TimeoutError) as error:
        logger.info("could not ask mParticle for audience %s: %s", mapping.audience_id, type(error).__name__)
        return False
    return known is not None and known.by_id(mapping.audience_id) is None


def choose_audience(known: KnownAudiences, text: str) -> ListedAudience | None:
    """Return the audience that a person names, by id or name; None if mParticle has no active one.

    Raises AmbiguousAudienceError if several have the name.
    """
    matching = known.called(text)
    if len(matching) > 1:
        ids = ", ".join(each.id for each in matching)
        raise AmbiguousAudienceError(f'mParticle has several audiences called "{text.strip()}". Choose by id: {ids}.')
    return matching[0] if matching else None


async def _fetch(engine: Engine, credentials: Credentials) -> tuple[ListedAudience, ...]:
    async with PlatformClient(credentials, engine.mparticle_tokens, base_url=engine.settings.mparticle_url) as client:
        return tuple(await client.audiences())


async def _note(engine: Engine, account: MParticleAccount, *, is_refused: bool) -> None:
    async with engine.database.write() as db:
        await mparticle_accounts.note(db, account, is_refused=is_refused)


def _audited(account: MParticleAccount | None) -> dict[str, Any] | None:
    """Return the access for the audit log: never the secret."""
    if account is None:
        return None
    return {"pod": account.pod.value, "account": account.account_id, "client_id": f"...{account.client_id[-4:]}"}


def check_credential(text: str, name: str) -> str:
    """Return a client id or a secret (`name`), trimmed. Raises ValidationError if it can't be one."""
    value = text.strip()
    if not value or len(value) > _CREDENTIAL_MAX or not value.isascii() or not value.isprintable() or " " in value:
        raise ValidationError(f"The {name} is letters and digits without blanks. Copy it again from mParticle.")
    return value


def check_account_id(text: str) -> str:
    """Return the id of an account in mParticle. Raises ValidationError if it can't be one."""
    value = text.strip()
    if not value.isascii() or not value.isdecimal() or len(value) > 18 or not int(value):
        raise ValidationError(
            "An mParticle account id is a number, such as 4711. mParticle shows it with the credentials."
        )
    return str(int(value))
