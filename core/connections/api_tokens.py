"""Creating, checking and revoking API tokens. Each change is audited."""

import hashlib
import secrets
from collections.abc import Collection

from core.engine import Engine
from core.errors import ConflictError, NotFoundError, ValidationError
from core.store import api_tokens, audit_log, clock
from core.store.api_tokens import ApiToken, Scope
from core.store.audit_log import AuditAction

#: What every token begins with, so that scanners for leaked secrets can find it.
PREFIX = "isync_"
# Random bytes in a token.
_BYTES = 32
NAME_MAX_LENGTH = 60


async def create(
    engine: Engine, name: str, scopes: Collection[Scope], *, by: str, team_id: str | None
) -> tuple[ApiToken, str]:
    """Create a token and return it with its secret, which is shown once and never stored.

    `team_id` is the workspace whose data it sees (None: all). Raises ValidationError if the name or the scopes are
    invalid, and ConflictError if a token of the workspace has this name.
    """
    name = name.strip()
    if not name or len(name) > NAME_MAX_LENGTH or not name.isprintable():
        raise ValidationError(f"The name of a token has 1 to {NAME_MAX_LENGTH} printable characters.")
    if not scopes:
        raise ValidationError("Choose at least one scope: read, run, approve or admin.")
    secret = PREFIX + secrets.token_urlsafe(_BYTES)
    async with engine.database.write() as db:
        if any(token.name == name and token.team_id == team_id for token in await api_tokens.of_team(db, team_id)):
            raise ConflictError(f'There is a token "{name}" already. Revoke it, or choose another name.')
        token = await api_tokens.add(
            db,
            name=name,
            team_id=team_id,
            digest=digest_of(secret),
            last4=secret[-4:],
            scopes=scopes,
            created_by=by,
        )
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.TOKEN_CREATED,
            subject=f"token:{token.id}",
            after={"name": name, "scopes": sorted(scopes)},
        )
    return token, secret


async def revoke(engine: Engine, name: str, *, by: str, team_id: str | None) -> ApiToken:
    """Revoke a token by its name. From then on, requests with it are refused.

    Raises NotFoundError if no usable token of the workspace (None: of any) has this name.
    """
    async with engine.database.write() as db:
        token = next((token for token in await api_tokens.of_team(db, team_id) if token.name == name), None)
        if token is None or not await api_tokens.revoke(db, token.id):
            raise NotFoundError(f'There is no token "{name}".')
        await audit_log.add(
            db,
            team_id=token.team_id,
            actor=by,
            action=AuditAction.TOKEN_REVOKED,
            subject=f"token:{token.id}",
            before={"name": name, "scopes": sorted(token.scopes)},
        )
    return token


async def authenticate(engine: Engine, secret: str) -> ApiToken | None:
    """Return the usable token with this secret, and record its use. None: there is none."""
    async with engine.database.read() as db:
        token = await api_tokens.usable(db, digest_of(secret))
        is_use_due = token is not None and api_tokens.is_use_due(token, await clock.now(db))
    if token is not None and is_use_due:
        async with engine.database.write() as db:
            await api_tokens.record_use(db, token.id)
    return token


def digest_of(secret: str) -> str:
    """Return the digest under which a token is stored. It needs no salt: a secret has 256 random bits."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
