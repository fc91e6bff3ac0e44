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
    """Store an erasure request. From then on no file adds the person again."""
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
    digests = [(account_id, _digests_of_member(salt, member)) for account_id, member in members]
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for account_id, each in digests:
        wanted[account_id].update(each)
    stamps = {account_id: await erasures.stamps(db, account_id, of) for account_id, of in wanted.items()}
    left: list[Change] = []
    back: defaultdict[str, list[str]] = defaultdict(list)
    for change, (account_id, each) in zip(changes, digests, strict=True):
        found = [digest for digest in each if digest in stamps[account_id]]
        if any(change.event_ms <= stamps[account_id][digest] for digest in found):
            continue
        if change.is_member:
            back[account_id] += found
        left.append(change)
    for account_id, each in back.items():
        await erasures.clear_erased(db, account_id, each)
    return left


def _digests_of_member(salt: str, member: Member) -> list[str]:
    email = normalize_email(member.email)
    named = (("mpid", None if member.mpid is None else str(member.mpid)), ("email", email))
    return [erasures.digest(salt, kind, value) for kind, value in (*named, ("customer", member.customer_id)) if value]
