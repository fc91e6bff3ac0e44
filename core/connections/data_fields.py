"""The data fields of mappings: choosing them, and what a run has to know to send them."""

import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine, KnownFields
from core.errors import ConflictError, NotFoundError
from core.models.data_fields import DataFields, check_fields
from core.models.run import Run
from core.planning.data_fields import FieldSettings, StoredFields
from core.store import audit_log, connections, mappings, salts
from core.store.audit_log import AuditAction
from core.store.connections import Connection
from core.store.managed import check_by_hand
from core.store.mappings import AudienceMapping, MappingStatus

#: How long the types of fields count as current, in seconds: for live changes. A preview fetches them again.
FRESH_S = 600.0


async def choose(
    engine: Engine, mapping_id: int, fields: DataFields, *, by: str, team_id: str | None
) -> AudienceMapping:
    """Set the data fields of a mapping, and return it. If they change, an approver has to approve the mapping again.

    Until then no live change of the mapping is sent. Raises NotFoundError if there is no such mapping, ConflictError if
    it is paused, archived or was declined, and InputError if a field can't be sent.
    """
    async with engine.database.write() as db:
        known = await mappings.by_id(db, mapping_id)
        if known is None:
            raise NotFoundError(f"There is no mapping {mapping_id}. Check its id.", mapping_id=mapping_id)
        check_by_hand(known.label, known.managed, by)
        if known.status in (MappingStatus.PAUSED, MappingStatus.DECLINED, MappingStatus.ARCHIVED):
            raise ConflictError(
                f"{known.label} is {known.status}. Resume or propose it first, and choose its data fields then.",
                mapping_id=mapping_id,
            )
        await choose_fields(db, known, fields, by=by, team_id=team_id)
        changed = await mappings.by_id(db, mapping_id)
    assert changed is not None
    engine.live_work.set()
    return changed


async def choose_fields(
    db: AsyncConnection, mapping: AudienceMapping, fields: DataFields, *, by: str, team_id: str | None
) -> None:
    """Set the data fields of a mapping in the caller's transaction, with an audit entry, if they change.

    Raises InputError if a field can't be sent.
    """
    fields = check_fields(fields)
    if dict(mapping.fields) == fields:
        return
    await mappings.set_fields(db, mapping, fields, by=by)
    await audit_log.add(
        db,
        team_id=team_id,
        actor=by,
        action=AuditAction.MAPPING_CHANGED,
        subject=f"mapping:{mapping.id}",
        before={"fields": dict(mapping.fields)},
        after={"fields": fields},
    )


async def settings_for(engine: Engine, run: Run, *, max_age_s: float) -> FieldSettings | None:
    """Return what planning has to know to send the data fields of a run's mapping, or None if it has none.

    The types of the fields are not older than `max_age_s` (seconds). Raises an IterableError if Iterable can't be asked
    for them.
    """
    async with engine.database.read() as db:
        mapping = await mappings.by_id(db, run.mapping_id)
        chosen = {} if mapping is None else mapping.fields if run.request.fields is None else run.request.fields
        if mapping is None or not chosen:
            return None
        connection = await connections.by_id(db, mapping.connection_id)
    assert connection is not None
    stored = await stored_fields(engine)
    types = await _types(engine, connection, max_age_s)
    return FieldSettings(stored.salt, stored.vault, check_fields(chosen), types)


def known_settings(engine: Engine, connection: Connection, fields: DataFields, salt: str) -> FieldSettings | None:
    """Return what planning has to know to send data fields, if this process knows it without asking Iterable.

    `salt` keys the digests. The types of the fields are not older than FRESH_S.
    """
    types = _known_types(engine, connection, FRESH_S)
    return None if types is None else FieldSettings(salt, engine.vault, check_fields(fields), types)


async def stored_fields(engine: Engine) -> StoredFields:
    """Return how this installation stores data fields."""
    async with engine.database.read() as db:
        salt = await salts.find(db, engine.vault, salts.DATA_FIELDS)
    if salt is None:
        async with engine.database.write() as db:
            salt = await salts.get_or_create(db, engine.vault, salts.DATA_FIELDS)
    return StoredFields(salt, engine.vault)


def _known_types(engine: Engine, connection: Connection, max_age_s: float) -> dict[str, str] | None:
    known = engine.field_types.get(connection.id)
    if known is not None and known.project == connection.rate_limit_key and time.monotonic() - known.at <= max_age_s:
        return known.types
    return None


async def _types(engine: Engine, connection: Connection, max_age_s: float) -> dict[str, str]:
    if (known := _known_types(engine, connection, max_age_s)) is not None:
        return known
    async with engine.client(connection) as client:
        types = await client.field_types()
    engine.field_types[connection.id] = KnownFields(connection.rate_limit_key, types, time.monotonic())
    return types
