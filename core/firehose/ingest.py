"""The intake: a Firehose message is on disk before it is answered, and counts once however often it comes."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.firehose import erasure_requests
from core.firehose.group_commit import GroupCommit
from core.firehose.ingest_clock import IngestClock
from core.firehose.member import Member, member_from_profile
from core.firehose.module_registration import registration
from core.firehose.router import RouteCache, Router
from core.firehose.schema import (
    Audience,
    AudienceMembershipChangeRequest,
    AudienceSubscriptionRequest,
    DsrProcessingRequest,
    EventProcessingRequest,
    MembershipAction,
    ModuleRegistrationRequest,
    Request,
    response,
)
from core.firehose.subscriptions import subscribe
from core.privacy import erasure
from core.store import connections, erasures, inbox, live_mappings, processed_messages
from core.store.connections import Connection
from core.store.inbox import Change
from core.store.mappings import AudienceMapping, LiveOffer, MappingStatus

# Changes written in one transaction; those of a message with more are written in pieces.
PIECE = 5_000
# By how much a time stamp may be ahead of our clock, in seconds: what claims to be of the future must not win for ever.
AHEAD_S = 300.0
# Profiles of a message taken between two turns of the event loop: some milliseconds.
PROFILES_A_TURN = 200

_Written = AudienceSubscriptionRequest | AudienceMembershipChangeRequest | DsrProcessingRequest


@dataclass(slots=True)
class _Found:
    """What the messages of a group come to."""

    changes: list[Change] = field(default_factory=list)
    members: list[tuple[str, Member]] = field(default_factory=list)
    """Those of the changes, each with the id of the account that sent it."""
    came: Counter[int] = field(default_factory=Counter)
    ignored: Counter[int] = field(default_factory=Counter)


class FirehoseIngest:
    """Takes messages, many at once. One for a process is enough."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine."""
        self._engine = engine
        self._groups = GroupCommit(self._write)
        self._known = RouteCache()
        self._clock = IngestClock()

    async def handle(self, request: Request) -> dict[str, Any]:
        """Take a message and return its answer as JSON. Whatever it said is on disk then.

        Raises what the database raises: then nothing is promised, and the message has to come again.
        """
        match request:
            case ModuleRegistrationRequest():
                return response(request, **registration())
            case EventProcessingRequest():
                return response(request)
            case AudienceSubscriptionRequest():
                await self._groups.put(request, 1)
                settings = request.audience_subscription_settings
                return response(request, audience_subscription_settings=settings)
            case DsrProcessingRequest():
                await self._groups.put(request, 1)
                await erasure.try_carry_out(self._engine, str(request.id))
                return response(request)
            case AudienceMembershipChangeRequest(user_profiles=profiles):
                if profiles:
                    refused = await self._groups.put(request, len(profiles))
                else:  # mParticle asks whether we are alive
                    refused = await self._is_refused(request)
                return response(request, **({"suspend_subscription": True} if refused else {}))

    async def _is_refused(self, request: AudienceMembershipChangeRequest) -> bool:
        async with self._engine.database.read() as db:
            connection = await connections.of_account(db, str(request.account.account_id))
        return connection is not None and connection.key_rejected_at is not None

    async def _write(self, group: list[_Written]) -> list[bool]:
        """Write messages. Returns for each whether its connection is one that Iterable refuses."""
        try:
            return await self._write_together(group)
        except BaseException:
            self._known.forget()  # what was made in that transaction is not there
            raise

    async def _write_together(self, group: list[_Written]) -> list[bool]:
        """Write messages in one transaction, and before it what is too much for one."""
        profiles = sum(len(r.user_profiles) for r in group if isinstance(r, AudienceMembershipChangeRequest))
        if profiles > PIECE:  # a message with very many profiles, which is alone
            await self._write_pieces(group)
        async with self._engine.database.write() as db:
            await self._clock.ask(db)
            taken = await processed_messages.deduplicate(db, [str(request.id) for request in group], self._clock.now())
            if taken.any_refused or not all(isinstance(r, AudienceMembershipChangeRequest) for r in group):
                self._known.forget()
            new, targets = taken.new, Router(db, self._engine, self._known)
            refused, found = [], _Found()
            for request in group:
                if str(request.id) in new:
                    new.discard(str(request.id))
                    await self._take(db, targets, request, found)
                connection = await self._connection(targets, request)
                refused.append(taken.any_refused and connection is not None and connection.key_rejected_at is not None)
            await self._store(db, found, with_changes=profiles <= PIECE, look=taken.any_erased)
        return refused

    async def _connection(self, targets: Router, request: _Written) -> Connection | None:
        """The connection that a message is for. An erasure is no reason to make one."""
        if isinstance(request, DsrProcessingRequest):
            return await targets.known_connection(request.account)
        return await targets.connection(request.account)

    async def _write_pieces(self, group: list[_Written]) -> None:
        """Write the changes of messages, which does no harm when it happens twice, before the messages are taken."""
        found = _Found()
        async with self._engine.database.write() as db:
            await self._clock.ask(db)
            targets = Router(db, self._engine, self._known)
            for request in group:
                if isinstance(request, AudienceMembershipChangeRequest):
                    await self._take(db, targets, request, found)
        for begin in range(0, len(found.changes), PIECE):
            piece = _Found(found.changes[begin : begin + PIECE], found.members[begin : begin + PIECE])
            async with self._engine.database.write() as db:
                await self._store(db, piece, with_changes=True, look=await erasures.any_erased(db))

    async def _take(self, db: AsyncConnection, targets: Router, request: _Written, found: _Found) -> None:
        match request:
            case AudienceSubscriptionRequest():
                if not await targets.is_uninstalled(request.account):
                    await subscribe(db, targets, request)
            case DsrProcessingRequest():
                await targets.known_connection(request.account)  # what it holds is erased, so it has to be known whose
                await erasure_requests.accept(db, self._engine.vault, request, self._stamp_of(request))
            case AudienceMembershipChangeRequest():
                if await targets.is_uninstalled(request.account):
                    return
                stamp = self._stamp_of(request)
                for number, profile in enumerate(request.user_profiles):
                    if number % PROFILES_A_TURN == PROFILES_A_TURN - 1:
                        await asyncio.sleep(0)  # Slack and health checks are answered meanwhile
                    member = member_from_profile(profile, f"none:{request.id}:{number}")
                    for audience in profile.audiences:
                        mapping = await self._mapping(targets, request, audience)
                        self._judge(mapping, audience, (str(request.account.account_id), member), stamp, found)

    async def _mapping(
        self, targets: Router, request: AudienceMembershipChangeRequest, audience: Audience
    ) -> AudienceMapping | None:
        settings = audience.audience_subscription_settings
        if audience.action is MembershipAction.ATTRIBUTE_UPDATE:
            return await targets.known(request.account, audience.audience_id, settings)
        return await targets.mapping(request.account, audience.audience_id, audience.audience_name, settings)

    def _judge(
        self, mapping: AudienceMapping | None, audience: Audience, sent: tuple[str, Member], stamp: int, found: _Found
    ) -> None:
        if mapping is None:
            return
        is_declined = mapping.status is MappingStatus.DECLINED or mapping.live_offer is LiveOffer.DECLINED
        if audience.action is MembershipAction.ATTRIBUTE_UPDATE or is_declined:
            found.ignored[mapping.id] += 1
            return
        found.came[mapping.id] += 1
        joined, member = audience.action is MembershipAction.ADD, sent[1]
        found.changes.append(
            Change(mapping.id, member.key, joined, stamp, member.email, member.customer_id, member.hashed)
        )
        found.members.append(sent)

    async def _store(self, db: AsyncConnection, found: _Found, *, with_changes: bool, look: bool) -> None:
        """Write what was found; `look` says that somebody was forgotten, who must not come back by an old change."""
        if with_changes and found.changes:
            changes = found.changes
            if look:
                changes = await erasure_requests.without_erased(db, self._engine.vault, changes, found.members)
            await inbox.put(db, changes)
        await live_mappings.count(db, live_mappings.day_of(time.time()), found.came, found.ignored)

    def _stamp_of(self, request: _Written) -> int:
        """mParticle's time stamp, in milliseconds."""
        return max(-(2**62), min(request.timestamp_ms, int((self._clock.now() + AHEAD_S) * 1000)))
