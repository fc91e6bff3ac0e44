"""The exclusions of mappings: choosing them, and what a run has to know to apply them."""

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections.mapping_settings import change_decisive
from core.engine import Engine
from core.errors import ConflictError, NotFoundError, ValidationError
from core.identity import is_valid_email, normalize_email
from core.models.exclusions import MOST_ADDRESSES, MOST_OTHERS, Exclusion, ExclusionKind, dump, values_of
from core.models.run import Run
from core.planning.exclusions import DIGEST_LENGTH, ExclusionSettings
from core.sources.fetch import SCHEMES, check_place, fetch_files, scheme_of
from core.store import mappings, salts
from core.store.managed import check_by_hand
from core.store.mappings import AudienceMapping

_DOMAIN_MAX, _FILE_MAX = 253, 2_000


@dataclass(frozen=True, slots=True)
class ExclusionInput:
    """Exclusions as people write them: addresses, domains, files (or their addresses), and ids of other mappings."""

    addresses: Sequence[str] = ()
    domains: Sequence[str] = ()
    files: Sequence[str] = ()
    mapping_ids: Sequence[int] = ()


NONE = ExclusionInput()


async def change_exclusions(
    engine: Engine,
    mapping_id: int,
    *,
    add: ExclusionInput = NONE,
    remove: ExclusionInput = NONE,
    clear: Collection[ExclusionKind] = (),
    by: str,
    team_id: str | None,
    allowed: tuple[str, ...] | None,
    approved: bool = False,
) -> AudienceMapping:
    """Change who a mapping keeps off its list, and return the mapping. Those of the kinds `clear` are removed first.

    `allowed` are the places whose files the person may read (None: everywhere). `approved` is as for `edit`. Raises
    NotFoundError if there is no such mapping, ConflictError if it is paused, archived or was declined, and InputError
    if an exclusion is invalid.
    """
    async with engine.database.write() as db:
        known = await mappings.by_id(db, mapping_id)
        if known is None:
            raise NotFoundError(f"There is no mapping {mapping_id}. Check its id.", mapping_id=mapping_id)
        if {*clear, *_kinds(add), *_kinds(remove)} - {ExclusionKind.ADDRESS}:  # a file has no addresses
            check_by_hand(known.label, known.managed, by)
        salt = await salts.get_or_create(db, engine.vault, salts.EXCLUSIONS)
        added = await _checked(db, known, add, salt, allowed)
        removed = await _checked(db, None, remove, salt, None)
        kept = {each for each in known.exclusions if each.kind not in clear} - set(removed)
        wanted = tuple(sorted(kept | set(added)))
        _check_number(wanted)
        return await change_decisive(
            db, known, {"exclusions": dump(wanted)}, by=by, team_id=team_id, approved=approved, engine=engine
        )


def _kinds(given: ExclusionInput) -> set[ExclusionKind]:
    values = {
        ExclusionKind.ADDRESS: given.addresses,
        ExclusionKind.DOMAIN: given.domains,
        ExclusionKind.FILE: given.files,
        ExclusionKind.MAPPING: given.mapping_ids,
    }
    return {kind for kind, names in values.items() if names}


async def _checked(
    db: AsyncConnection,
    mapping: AudienceMapping | None,
    given: ExclusionInput,
    salt: str,
    allowed: tuple[str, ...] | None,
) -> list[Exclusion]:
    """Return exclusions in the form in which they are kept. `mapping` is the one that gets them (None: it loses them).

    Raises InputError if one is invalid.
    """
    checked = [Exclusion(ExclusionKind.ADDRESS, digest_of_address(salt, each)) for each in given.addresses]
    checked += [Exclusion(ExclusionKind.DOMAIN, check_domain(each)) for each in given.domains]
    checked += [Exclusion(ExclusionKind.FILE, _file(each, allowed)) for each in given.files]
    checked += [Exclusion(ExclusionKind.MAPPING, str(each)) for each in given.mapping_ids]
    if mapping is None:
        return checked
    if given.files and mapping.is_live:
        raise ConflictError(
            f"mParticle feeds {mapping.label} live, and a file would be read again for each change. Exclude another "
            "mapping, domains or addresses instead.",
            mapping_id=mapping.id,
        )
    others = await mappings.by_ids(db, given.mapping_ids)
    for mapping_id in given.mapping_ids:
        other = others.get(mapping_id)
        if other is None or other.connection_id != mapping.connection_id:
            raise NotFoundError(f"There is no mapping {mapping_id} of this connection. Check its id.")
        if other.id == mapping.id:
            raise ValidationError("A mapping can't exclude its own people. Choose another one.")
    return checked


def digest_of_address(salt: str, address: str) -> str:
    """Return the digest under which an excluded address is kept. Raises ValidationError if it is no address."""
    email = normalize_email(address)
    if email is None or not is_valid_email(email):
        raise ValidationError("One of the addresses to exclude is no email address. Correct it.")
    return hashlib.sha256(f"{salt}{email}".encode(errors="surrogatepass")).hexdigest()[:DIGEST_LENGTH]


def check_domain(text: str) -> str:
    """Return a domain in the form in which it is kept. Raises ValidationError if it is none."""
    domain = text.strip().lower().removeprefix("@")
    if (
        not domain.isprintable()
        or "." not in domain.strip(".")
        or len(domain) > _DOMAIN_MAX
        or set(domain) & set(" @/,")
    ):
        raise ValidationError(f'"{text.strip()[:60]}" is no domain. Write it as in example.com.')
    return domain


def _file(text: str, allowed: tuple[str, ...] | None) -> str:
    place = text.strip()
    scheme = scheme_of(place)
    if not place or len(place) > _FILE_MAX or not place.isprintable():
        raise ValidationError(
            "Say where the file with the people is: a path, or an address such as s3://bucket/file.csv."
        )
    if scheme and scheme not in SCHEMES:
        raise ValidationError(f"A file can't be in {scheme}:. Use a path, https://, s3://, gs://, az:// or sftp://.")
    if scheme and (urlsplit(place).query or urlsplit(place).username):
        raise ValidationError("The address of the file contains a secret, which can't be kept. Use one without.")
    if allowed is not None:
        check_place(place, allowed)
    return place if scheme else str(Path(place).absolute())


def _check_number(exclusions: Sequence[Exclusion]) -> None:
    addresses = len(values_of(exclusions, ExclusionKind.ADDRESS))
    if addresses > MOST_ADDRESSES or len(exclusions) - addresses > MOST_OTHERS:
        raise ValidationError(
            f"A mapping excludes up to {MOST_ADDRESSES} addresses and {MOST_OTHERS} domains, files and mappings. "
            "Put more people into a file."
        )


@asynccontextmanager
async def exclusions_of(
    engine: Engine, run: Run, directory: Path, allowed: tuple[str, ...] | None
) -> AsyncIterator[ExclusionSettings | None]:
    """Yield what planning has to know to apply the exclusions of a run's mapping; None if it has none.

    Files are fetched to `directory` for the length of the block. `allowed` are the places that may be read (None: any).
    Raises what `fetch_files` raises: without its exclusions nothing of the mapping is synced.
    """
    async with engine.database.read() as db:
        mapping = await mappings.by_id(db, run.mapping_id)
        chosen = () if mapping is None else mapping.exclusions
        salt = await salts.find(db, engine.vault, salts.EXCLUSIONS) if chosen else None
    if salt is None:
        yield None
        return
    files = values_of(chosen, ExclusionKind.FILE)
    async with fetch_files(files, directory, engine.fetchers, allowed) as paths:
        yield exclusion_settings(chosen, salt, paths)


def exclusion_settings(chosen: Sequence[Exclusion], salt: str, files: Sequence[Path] = ()) -> ExclusionSettings:
    """Return what planning has to know to apply exclusions. `files` are the local paths of theirs."""
    return ExclusionSettings(
        salt=salt,
        digests=values_of(chosen, ExclusionKind.ADDRESS),
        domains=values_of(chosen, ExclusionKind.DOMAIN),
        mapping_ids=[int(each) for each in values_of(chosen, ExclusionKind.MAPPING)],
        files=files,
    )
