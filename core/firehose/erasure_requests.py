"""Intake of mParticle's erasure requests, and the filter against people who were erased before."""

import json
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from core.firehose.member import Member
from core.firehose.schema import DsrProcessingRequest, Encoding
from core.identity import normalize_email
from core.privacy.erasure import ErasureSubject, digests_of_subject
from core.store import erasures
from core.store.inbox import Change
from core.vault import Vault

# The identity types of a request, as OpenDSR and mParticle name them.
_KINDS = {
    "email": "email",
    "mpid": "mpid",
    "customer": "customer",
    "customerid": "customer",
    "controllercustomerid": "customer",
}


async def accept(db: AsyncConnection, vault: Vault, request: DsrProcessingRequest, stamp: int) -> None:
    """Store an erasure request. `stamp` is its time (UTC ms). From then on no file adds the person again."""
    subject = ErasureSubject(stamp, request.subject_request_id)
    for name, identity in request.subject_identities.items():
        kind = _KINDS.get(name.lower().replace("_", "").replace("-", ""))
        value = normalize_email(identity.value) if kind == "email" else identity.value.strip()
        if kind and value and identity.encoding == Encoding.RAW:
            getattr(subject, kind).append(value)
    account_id = str(request.account.account_id)
    digests = digests_of_subject(await erasures.salt_of(db, vault), subject.person(account_id))
    await erasures.mark_erased(db, account_id, digests, stamp)
    content = {name: getattr(subject, name) for name in ("stamp", "request", "email", "customer", "mpid")}
    await erasures.begin(db, str(request.id), account_id, vault.encrypt(json.dumps(content)))


async def without_erased(
    db: AsyncConnection, vault: Vault, changes: Sequence[Change], members: Sequence[tuple[str, Member]]
) -> list[Change]:
    """Return the live changes except those older than their member's erasure. A newer one lifts the erasure mark.

    `members` are the members of the changes, in the same order, each with the id of the account that sent it.
    """
    salt = await erasures.salt_of(db, vault)
    digests_of_members = [(account_id, _digests_of_member(salt, member)) for account_id, member in members]
    of_account: defaultdict[str, set[str]] = defaultdict(set)
    for account_id, digests in digests_of_members:
        of_account[account_id].update(digests)
    stamps = {account_id: await erasures.stamps(db, account_id, digests) for account_id, digests in of_account.items()}
    kept: list[Change] = []
    returning: defaultdict[str, list[str]] = defaultdict(list)
    for change, (account_id, digests) in zip(changes, digests_of_members, strict=True):
        erased = [digest for digest in digests if digest in stamps[account_id]]
        if any(change.event_ms <= stamps[account_id][digest] for digest in erased):
            continue
        if change.is_member:
            returning[account_id] += erased
        kept.append(change)
    for account_id, lifted in returning.items():
        await erasures.clear_erased(db, account_id, lifted)
    return kept


def _digests_of_member(salt: str, member: Member) -> list[str]:
    identities = (
        ("mpid", None if member.mpid is None else str(member.mpid)),
        ("email", normalize_email(member.email)),
        ("customer", member.customer_id),
    )
    return [erasures.digest(salt, kind, value) for kind, value in identities if value]
