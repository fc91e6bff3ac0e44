"""The use cases of a mapping's source: where its files come from, and looking there now. Each is audited."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from core.engine import Engine
from core.errors import ConflictError, ValidationError
from core.models.run import RunRequest
from core.runs.addresses import addresses_of, sealed
from core.sources.fetch import SCHEMES, check_place, scheme_of
from core.sources.file_catalog import ONE_FILE
from core.store import audit_log, file_sources, schedules
from core.store.audit_log import AuditAction
from core.store.file_sources import Existing, FileSource
from core.store.managed import check_by_hand
from core.store.mappings import AudienceMapping

ADDRESS_MAX_LENGTH = 2_000


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a person chooses: the place, how its files are read, where they go afterwards, and which old ones count.

    `archive` is a folder of the same kind as the place; None: synced files stay where they are.
    """

    address: str
    columns: Mapping[str, str] = field(default_factory=dict)
    sheet: str | None = None
    archive: str | None = None
    existing: Existing = Existing.NEWEST


async def set_source(
    engine: Engine,
    mapping: AudienceMapping,
    options: SourceOptions,
    *,
    by: str,
    team_id: str | None,
    allowed: tuple[str, ...] | None,
) -> None:
    """Set where the files of a mapping come from. Nothing is synced before a schedule or a person asks for it.

    `allowed` are the places that the person may read (None: everywhere). Raises InputError for another place,
    ValidationError if an option is invalid, and ConflictError if the mapping is fed live.
    """
    address, archive = _check(options, allowed)
    if mapping.is_live:
        message = f"mParticle feeds {mapping.label} live, so it has no files. Map the audience once more for files."
        raise ConflictError(message, mapping_id=mapping.id)
    check_by_hand(mapping.label, mapping.managed, by)
    stored = sealed(engine.vault, RunRequest(path=address))
    async with engine.database.write() as db:
        before = await file_sources.get(db, mapping.id)
        await file_sources.put(
            db,
            mapping.id,
            address=stored.path,
            sealed=stored.sealed_addresses,
            columns=dict(options.columns),
            sheet=options.sheet,
            archive=archive,
            existing=options.existing,
            set_by=by,
            team_id=team_id,
        )
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.MAPPING_CHANGED,
            subject=f"mapping:{mapping.id}",
            before={"source": before.address if before is not None else None},
            after={"source": stored.path, "archive": archive},
        )


async def remove_source(engine: Engine, mapping: AudienceMapping, *, by: str, team_id: str | None) -> None:
    """Let a mapping be synced by hand only. Raises ConflictError if it has schedules, which need its source."""
    check_by_hand(mapping.label, mapping.managed, by)
    async with engine.database.write() as db:
        if of_mapping := await schedules.of_mapping(db, mapping.id):
            names = ", ".join(each.name for each in of_mapping)
            raise ConflictError(f"Schedules need the source: {names}. Remove them first.", mapping_id=mapping.id)
        before = await file_sources.get(db, mapping.id)
        await file_sources.remove(db, mapping.id)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.MAPPING_CHANGED,
            subject=f"mapping:{mapping.id}",
            before={"source": before.address if before is not None else None},
            after={"source": None},
        )


def wake(engine: Engine) -> None:
    """Let the worker of this process look for due work now."""
    engine.due.set()
    engine.queued.set()


def full_address(engine: Engine, source: FileSource) -> str:
    """Return the address of a source with what is secret in it. Raises SettingsError if the key has changed."""
    return addresses_of(engine.vault, RunRequest(path=source.address, sealed_addresses=source.sealed))[0]


def _check(options: SourceOptions, allowed: tuple[str, ...] | None) -> tuple[str, str | None]:
    address, archive = options.address.strip(), (options.archive or "").strip() or None
    for place in (address, archive):
        if place is None:
            continue
        scheme = scheme_of(place)
        if not place or len(place) > ADDRESS_MAX_LENGTH or not place.isprintable():
            raise ValidationError("Say where the files are: a folder, or an address such as s3://bucket/folder/.")
        if scheme and scheme not in SCHEMES:
            raise ValidationError(
                f"A source can't be in {scheme}:. Use a folder, https://, s3://, gs://, az:// or sftp://."
            )
        if scheme in ("http", "https") and (urlsplit(place).path.endswith("/") or "*" in urlsplit(place).path):
            raise ValidationError(ONE_FILE)
        if allowed is not None:
            check_place(place, allowed)
    if archive is not None and (scheme_of(archive) != scheme_of(address) or scheme_of(address) in ("http", "https")):
        raise ValidationError("The archive has to be of the same kind as the source: a folder, or the same cloud.")
    return address, archive
